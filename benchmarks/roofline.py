"""The roofline plot: what the LSTM reaches between the measured peak and the measured bandwidths. Needs matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from math import atan2, degrees
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers import OURS
from benchmarks.results import Results, Row, best_peer, rate, rows
from benchmarks.shapes import INFERENCE, TRAINING, Shape, traffic
from benchmarks.stats import spread

COLOURS = {INFERENCE: "#2e6da4", TRAINING: "#c0392b"}
ROOF = "#444444"


def draw(results: Results, target: Path, dtype: str = "float32") -> None:
    """Write an SVG with a panel for each number of threads; the same results give the same bytes.

    Raises ImportError where matplotlib is not installed, ValueError if the LSTM was not measured in this dtype.
    """
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams.update({"svg.hashsalt": "roofline", "svg.fonttype": "none", "font.size": 9})
    from matplotlib import pyplot as plt

    chosen = rows(results, cell="lstm", dtype=dtype)
    counts = sorted({row["threads"] for row in chosen})
    if not counts:
        raise ValueError(f"nothing to draw: the results hold no LSTM in {dtype}")
    figure, axes = plt.subplots(1, len(counts), figsize=(7 * len(counts), 5.5), squeeze=False,
                                layout="constrained")  # fmt: skip
    for panel, threads in zip(axes[0], counts, strict=True):
        _panel(panel, [row for row in chosen if row["threads"] == threads], dtype)
        panel.set_title(f"LSTM, {dtype}, {threads} thread{'s' if threads > 1 else ''}", loc="left", fontweight="bold")
    axes[0][0].set_ylabel("Gflop/s")
    figure.savefig(target, format="svg", metadata={"Date": None, "Creator": None})
    plt.close(figure)


def _panel(panel: Any, chosen: Sequence[Row], dtype: str) -> None:
    points = [traffic(Shape(*row["shape"]), row["op"], dtype) for row in chosen]
    intensity = [row["flop"] / moved for row, moved in zip(chosen, points, strict=True)]
    low, high = min(intensity) / 5, max(intensity) * 2
    rates = [rate(row, name) / 1e9 for row in chosen for name in (OURS[0], best_peer(row)) if name]
    top = 1.6 * max(row["peak"]["median"] for row in chosen) / 1e9
    panel.set(xscale="log", yscale="log", xlim=(low, high), ylim=(min(rates) / 2, top))
    _roofs(panel, chosen, np.geomspace(low, high, 200))
    for op, colour in COLOURS.items():
        own = [(at, row) for at, row in zip(intensity, chosen, strict=True) if row["op"] == op]
        panel.plot([at for at, _ in own], [rate(row, OURS[0]) / 1e9 for _, row in own], "o", color=colour,
                   label=f"ours, {op}")  # fmt: skip
        others = [(at, row, best) for at, row in own if (best := best_peer(row))]
        panel.plot([at for at, _, _ in others], [rate(row, best) / 1e9 for _, row, best in others], "x", color=colour,
                   alpha=0.7, label=f"best peer, {op}")  # fmt: skip
    panel.set(xlabel="flop per byte that must move")
    panel.grid(which="major", color="#dddddd", linewidth=0.6)
    panel.legend(frameon=False, loc="lower right")
    panel.spines[["top", "right"]].set_visible(False)


def _roofs(panel: Any, chosen: Sequence[Row], at: Any) -> None:
    """The peak with its quartiles over the run, and a slope for each level of the memory."""
    peak = spread([row["peak"]["median"] / 1e9 for row in chosen])
    panel.axhline(peak.median, color=ROOF, linewidth=1.4)
    panel.axhspan(peak.q1, peak.q3, color=ROOF, alpha=0.15, linewidth=0)
    panel.text(at[0] * 1.2, peak.median * 1.08, f"FMA peak {peak.median:.0f}", color=ROOF)
    for level in chosen[0]["bandwidth"]:
        width = spread([row["bandwidth"][level] / 1e9 for row in chosen]).median
        below = at[at * width <= peak.median]
        if not below.size:
            continue
        panel.plot(below, below * width, color=ROOF, linewidth=0.9, linestyle="--")
        x = below[0] * 1.2
        # Along the slope: a step by (x, y) is 45 degrees on paper where both axes are logarithmic.
        panel.text(x, x * width * 1.1, f"{level} {width:.0f} GB/s", color=ROOF, fontsize=8, rotation_mode="anchor",
                   rotation=degrees(atan2(x * width, x)), transform_rotates_text=True, clip_on=True)  # fmt: skip
