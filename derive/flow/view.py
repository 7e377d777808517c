"""Gradient flow for the eye: a table for the terminal, a picture for a file (the picture needs matplotlib)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich import box
from rich.table import Table
from rich.text import Text

from derive.errors import DeriveError
from derive.flow.measure import WHOLE, Flow


def lags(T: int) -> list[int]:
    """The lags that a table shows: 1, 10, 100, ... and the last."""
    return sorted({10**power for power in range(6) if 10**power < T} | {T})


def norms(flows: Sequence[Flow]) -> Table:
    """Return the table of norms over the lag: the whole state, each state, and the state that is kept, followed alone."""
    shown = lags(min(f.T for f in flows))
    table = Table(
        box=box.SIMPLE_HEAD,
        header_style="bold",
        title="Norm of d s(T) / d s(T-lag), for s the whole state and each of its parts",
        caption=_caption(flows),
        caption_justify="left",
    )
    for name in ("cell", "start", "s"):
        table.add_column(name, no_wrap=True)
    for lag in shown:
        table.add_column(f"lag {lag}", justify="right", no_wrap=True)
    table.add_column("per step", justify="right", no_wrap=True)
    for number, found in enumerate(flows):
        for position, (name, values) in enumerate(_rows(found)):
            first = (found.cell, str(found.start)) if not position else ("", "")
            rate = values[shown[-1]] ** (1 / shown[-1])
            table.add_row(*first, Text(name), *(f"{values[lag]:.1e}" for lag in shown), f"{rate:.3f}")
        if number + 1 < len(flows) and len(found.states) > 1:
            table.add_section()
    return table


def _rows(found: Flow) -> list[tuple[str, Any]]:
    """What the table says of one flow; the whole state is no row of its own where it has one part."""
    if len(found.states) == 1:
        return [(found.output, found.norms[found.output])]
    rows = [(name, found.norms[name]) for name in (WHOLE, *found.states)]
    return [*rows, (f"{found.carrier} alone", found.alone[found.carrier])]


def _caption(flows: Sequence[Flow]) -> str:
    """What the words of the column `start` mean for these cells."""
    said = []
    if any(f.start.scale is not None for f in flows):
        said.append("scale: the recurrent matrices are orthogonal ones times this number.")
    kept = dict.fromkeys(f"{', '.join(f.gates)} of {f.cell}" for f in flows if f.start.keep is not None)
    if kept:
        said.append(f"keep: the bias of the gates that multiply an old state ({'; '.join(kept)}).")
    if any(len(f.states) > 1 for f in flows):
        said.append("alone: the path that never leaves this part of the state.")
    return "\n".join(said)


def spectra(flows: Iterable[Flow]) -> Table:
    """Return the table of spectra of the last step: singular values, eigenvalues, and the block of the kept state."""
    table = Table(
        box=box.SIMPLE_HEAD,
        header_style="bold",
        title="Spectrum of d s(T) / d s(T-1), s the whole state",
        caption="σ: singular values; λ: eigenvalues; own block: σ of the part of the state that\n"
        "is left most at lag T when it is followed alone.",
        caption_justify="left",
    )
    for name in ("cell", "start"):
        table.add_column(name, no_wrap=True)
    for name in ("max σ", "median", "max |λ|", "|λ|>0.9"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("own block", justify="right", no_wrap=True)
    for found in flows:
        size = np.abs(found.eigenvalues)
        block = np.linalg.svd(found.block(found.carrier), compute_uv=False)
        numbers = (
            np.median(found.values.max(axis=1)),
            np.median(found.values),
            np.median(size.max(axis=1)),
        )
        table.add_row(
            found.cell,
            str(found.start),
            *(f"{number:.3f}" for number in numbers),
            f"{(size > 0.9).mean():.0%}",
            f"{found.carrier}: {block.min():.2f}..{block.max():.2f}",
        )
    return table


def plot(flows: Sequence[Flow], target: Path) -> None:
    """Write a picture: norms over the lag on the left, eigenvalues of one step in the complex plane on the right.

    The ending of `target` chooses the format (png, pdf, svg).  Raises DeriveError without matplotlib, for an unknown
    ending, and where the file cannot be written.
    """
    try:
        import matplotlib
    except ImportError as error:
        raise DeriveError(
            "a plot needs matplotlib, which is not installed: pip install 'lstm-derive[demo]'; the tables do without"
        ) from error
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 5), layout="constrained")
    _plot_norms(left, flows)
    _plot_eigenvalues(right, flows)
    try:
        figure.savefig(target, dpi=120)
    except (OSError, ValueError) as error:
        raise DeriveError(f"cannot write {target}: {getattr(error, 'strerror', None) or error}") from error
    finally:
        plt.close(figure)


def _styles(flows: Sequence[Flow]) -> list[dict[str, Any]]:
    """One colour for each cell, lighter from start to start."""
    cells = list(dict.fromkeys(f.cell for f in flows))
    shades = (1.0, 0.7, 0.45, 0.3)
    found: list[dict[str, Any]] = []
    for number, flow in enumerate(flows):
        before = sum(f.cell == flow.cell for f in flows[:number])
        found.append({"color": f"C{cells.index(flow.cell)}", "alpha": shades[before % len(shades)]})
    return found


def _plot_norms(axes: Any, flows: Sequence[Flow]) -> None:
    for found, style in zip(flows, _styles(flows), strict=True):
        values = np.maximum(found.norms[WHOLE], 1e-300)  # a logarithmic axis has no zero
        axes.plot(found.lags, values, label=f"{found.cell}, {found.start}", **style)
        if len(found.states) > 1:
            axes.plot(found.lags, np.maximum(found.alone[found.carrier], 1e-300), linestyle=":", **style)
    axes.axhline(1, color="black", linewidth=0.6)
    finite = [f.norms[WHOLE][np.isfinite(f.norms[WHOLE])] for f in flows]
    axes.set(yscale="log", xlabel="lag (steps)", ylabel="spectral norm", xlim=(0, max(f.T for f in flows)))
    axes.set_ylim(max(1e-20, min(v.min() for v in finite) / 3), max(v.max() for v in finite) * 3)
    axes.set_title("∂ state(T) / ∂ state(T - lag); dotted: through the kept state alone", loc="left", fontsize=10)
    axes.legend(frameon=False, fontsize=8)


def _plot_eigenvalues(axes: Any, flows: Sequence[Flow]) -> None:
    angle = np.linspace(0, 2 * np.pi, 200)
    axes.plot(np.cos(angle), np.sin(angle), color="black", linewidth=0.6)
    for found, style in zip(flows, _styles(flows), strict=True):
        points = found.eigenvalues.ravel()
        axes.scatter(points.real, points.imag, s=8, linewidths=0, label=f"{found.cell}, {found.start}", **style)
    axes.set(xlabel="real part", ylabel="imaginary part", aspect="equal")
    axes.set_title("eigenvalues of ∂ state(T) / ∂ state(T - 1), and the unit circle", loc="left", fontsize=10)
