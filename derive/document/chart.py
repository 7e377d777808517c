"""A line chart with a logarithmic axis, drawn the same on every machine: SVG and TikZ from rounded coordinates."""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape

from derive.document.unicode import unicode

_WIDTH, _HEIGHT = 11.0, 5.0


@dataclass(frozen=True)
class Series:
    """One line: its label as LaTeX, and its values at 0, 1, 2, ..."""

    label: str
    values: tuple[float, ...]


@dataclass(frozen=True)
class Chart:
    """Lines over the lag on a logarithmic axis; `key` names the messages that speak of it."""

    key: str
    series: tuple[Series, ...]
    across: str
    up: str

    @property
    def decades(self) -> tuple[int, int]:
        """The whole powers of ten between which all that is shown lies; what is below 10^-8 of the top is cut off."""
        found = [v for s in self.series for v in s.values if v > 0 and math.isfinite(v)]
        top = math.ceil(math.log10(max(found)) - 1e-9)
        return max(math.floor(math.log10(min(found)) + 1e-9), top - 8), max(top, 0)

    @property
    def lags(self) -> int:
        return max(len(s.values) for s in self.series) - 1

    def points(self, series: Series) -> list[tuple[float, float]]:
        """The line in centimetres; it ends where it leaves the chart."""
        low, high = self.decades
        found = []
        for lag, value in enumerate(series.values):
            if not (value > 0 and math.isfinite(value)):
                break
            y = (math.log10(value) - low) / (high - low) * _HEIGHT
            if y < 0:
                break
            found.append((round(lag / self.lags * _WIDTH, 2), round(y, 2)))
        return found


def tikz(chart: Chart) -> str:
    """A tikzpicture."""
    low, high = chart.decades
    lines = [rf"  \draw[axis] (0,0) rectangle ({_WIDTH:g},{_HEIGHT:g});"]
    for power in range(low, high + 1):
        y = round((power - low) / (high - low) * _HEIGHT, 2)
        lines.append(
            rf"  \draw[grid] (0,{y:g}) -- ({_WIDTH:g},{y:g}); \node[left, note] at (0,{y:g}) {{$10^{{{power}}}$}};"
        )
    for lag in range(0, chart.lags + 1, 10):
        x = round(lag / chart.lags * _WIDTH, 2)
        lines.append(rf"  \draw[axis] ({x:g},0) -- ({x:g},-0.08); \node[below, note] at ({x:g},-0.08) {{${lag}$}};")
    for number, series in enumerate(chart.series):
        path = " -- ".join(f"({x:g},{y:g})" for x, y in chart.points(series))
        lines.append(rf"  \draw[line {number % 4}] {path};")
        y = round(_HEIGHT - 0.3 - 0.5 * number, 2)
        lines.append(
            rf"  \draw[line {number % 4}] ({_WIDTH + 0.3:g},{y:g}) -- ({_WIDTH + 0.9:g},{y:g});"
            rf" \node[right, note] at ({_WIDTH + 0.95:g},{y:g}) {{${series.label}$}};"
        )
    lines.append(rf"  \node[below, note] at ({_WIDTH / 2:g},-0.45) {{${chart.across}$}};")
    return "\\begin{tikzpicture}[scale=0.95]\n" + "\n".join(lines) + "\n\\end{tikzpicture}"


def svg(chart: Chart, title: str = "") -> str:
    """An inline SVG element."""
    low, high = chart.decades
    px, left, top = 44.0, 60.0, 14.0

    def at(x: float, y: float) -> tuple[str, str]:
        return f"{left + x * px:.1f}", f"{top + (_HEIGHT - y) * px:.1f}"

    lines = []
    for power in range(low, high + 1):
        y = (power - low) / (high - low) * _HEIGHT
        (x1, y1), (x2, _) = at(0, y), at(_WIDTH, y)
        lines.append(f'<path class="grid" d="M{x1} {y1} H{x2}"/>')
        lines.append(
            f'<text class="note" x="{left - 8:.1f}" y="{float(y1) + 4:.1f}" text-anchor="end">10'
            f'<tspan class="sub" dy="-5">{str(power).replace("-", "−")}</tspan></text>'
        )
    for lag in range(0, chart.lags + 1, 10):
        tick, axis = at(lag / chart.lags * _WIDTH, 0)
        lines.append(f'<path class="axis" d="M{tick} {axis} v5"/>')
        lines.append(f'<text class="note" x="{tick}" y="{float(axis) + 19:.1f}" text-anchor="middle">{lag}</text>')
    (x1, y1), (x2, y2) = at(0, _HEIGHT), at(_WIDTH, 0)
    lines.append(f'<path class="axis" d="M{x1} {y1} V{y2} H{x2}"/>')
    rows = -(-len(chart.series) // 2)
    for number, series in enumerate(chart.series):
        path = " L".join("{} {}".format(*at(x, y)) for x, y in chart.points(series))
        lines.append(f'<path class="line{number % 4}" d="M{path}"/>')
        x = left + 10 + number % 2 * 260
        y = top + _HEIGHT * px + 58 + number // 2 * 22
        lines.append(f'<path class="line{number % 4}" d="M{x:.0f} {y:.0f} h26"/>')
        lines.append(f'<text class="note" x="{x + 34:.0f}" y="{y + 4:.0f}">{escape(unicode(series.label))}</text>')
    middle, axis = at(_WIDTH / 2, 0)
    lines.append(
        f'<text class="note" x="{middle}" y="{float(axis) + 37:.1f}" text-anchor="middle">{escape(unicode(chart.across))}</text>'
    )
    width, height = left + _WIDTH * px + 16, top + _HEIGHT * px + 54 + rows * 22
    return (
        f'<svg viewBox="0 0 {width:.0f} {height:.0f}" style="max-width:{width:.0f}px" role="img" '
        f'aria-label="{escape(title, quote=True)}">\n' + "\n".join(lines) + "\n</svg>"
    )


def text(chart: Chart) -> tuple[str, ...]:
    """The lines as numbers at a few lags."""
    shown = [lag for lag in (1, 10, 20, 40, 60, 80, 100) if lag <= chart.lags]
    return tuple(
        f"{unicode(s.label)}: " + ", ".join(f"{s.values[lag]:.1e} ({lag})" for lag in shown) for s in chart.series
    )
