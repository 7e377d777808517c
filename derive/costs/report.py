"""How a cost report looks in the terminal. Counting is in workload.py and costs.py; here are tables and sentences."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from derive.costs.count import Cost, Phase


def show(console: Console, found: Cost) -> None:
    """Print the report: phases, products, a step and its bounds, memory, and what was chosen."""
    sizes = ", ".join(f"{name}={size}" for name, size in found.sizes.items())
    threads = f"{found.schedule.threads} thread{'s' if found.schedule.threads > 1 else ''}"
    title = f"{found.cell}, {found.call}: {sizes}, {found.dtype}, {found.machine.isa}, {threads}"
    console.rule(Text(title, "bold"), align="left")
    console.print(Group(_phases(found), Text(), _steps(found), Text(), _products(found), Text()))
    for line in [*_memory(found), *_choices(found)]:
        console.print(line)
    console.print(Text(_assumed(found), "dim"))


def _phases(found: Cost) -> Table:
    table = _table("phase", "flop", "bytes", "flop/byte", "at least", "bound by")
    for phase in found.phases:
        per_byte = f"{phase.flop / phase.bytes:.1f}"
        table.add_row(
            phase.name, number(phase.flop), size(phase.bytes), per_byte, _time(found, phase.cycles), phase.binding
        )
    table.add_section()
    table.add_row(found.call, number(found.flop), "", "", _time(found, found.cycles), "", style="bold")
    return table


def _steps(found: Cost) -> Table:
    """A step of each loop; the largest of its bounds is bold."""
    table = _table("one step of", "weights", "compute", "weights from", "latency", "operations per unit: * + / f")
    for phase in found.phases:
        if phase.slowest.cycles == 0:
            continue
        cells = [
            Text(_time(found, b.cycles) + (f" {b.level}" if b.level else ""), "bold" if b is phase.slowest else "")
            for b in phase.step
        ]
        table.add_row(phase.name, size(phase.weights), *cells, _operations(found, phase))
    return table


def _operations(found: Cost, phase: Phase) -> str:
    """Pointwise operations for each step, sequence and unit of the largest state."""
    units = found.sizes["T"] * found.sizes["B"] * max(v for n, v in found.sizes.items() if n not in ("T", "B", "I"))
    counts = phase.pointwise
    return " ".join(
        f"{c / units:.3g}" for c in (counts.multiplications, counts.additions, counts.divisions, counts.calls)
    )


def _products(found: Cost) -> Table:
    table = _table("products", "equations", "kind", "M x N x K", "times", "flop", "share")
    for phase in found.phases:
        for p in phase.products:
            ids = ", ".join(p.ids)
            share = f"{100 * p.flop / found.flop:.1f} %" if found.flop else ""
            table.add_row(phase.name, ids, p.kind, f"{p.m} x {p.n} x {p.k}", str(p.times), number(p.flop), share)
    return table


def _memory(found: Cost) -> Iterator[Text]:
    per = found.tape / (found.sizes["T"] * found.sizes["B"])
    yield _line("parameters", size(found.parameters))
    if found.tape:
        yield _line("tape", f"{size(found.tape)}, {per:g} bytes for each step and sequence")
    yield _line("workspace", size(found.workspace))


def _choices(found: Cost) -> Iterator[Text]:
    s, sizes = found.schedule, found.sizes
    rows = found.phases[0].weights
    yield _line(
        "products of x",
        {
            "hoisted": f"hoisted: made for {s.chunk_steps} steps at once; a step reads {size(rows)} of weights, the rest are "
            f"read once for all {s.chunk_steps}",
            "fused": f"fused into the tile of the step: {sizes['B']} sequences share each read of the weights, and the "
            f"products are not written and read again",
            "none": "none: the cell has no matrix that meets its input",
        }[s.inputs],
    )
    yield _line("steps together", f"{s.chunk_steps}, at most {s.chunk_steps * sizes['B']} rows for the large products")
    yield _line(
        "tile",
        f"{s.tile_rows} x {s.tile_vectors} vectors of {s.lanes}: {s.tile_rows * s.tile_vectors} registers of sums",
    )
    how = {
        "one": "one, as asked" if s.asked == 1 else "one: more would not pay off",
        "batch": f"{s.threads}, each takes sequences from the first step to the last and reads all weights",
        "units": f"{s.threads}, each takes units of all sequences; with a barrier after every step",
    }[s.split]
    yield _line("threads", how)


def _assumed(found: Cost) -> str:
    m = found.machine
    bandwidth = ", ".join(f"{name} {value:g}" for name, value in m.bandwidth.items())
    caches = ", ".join(f"{name} {size(value)}" for name, value in m.caches.items())
    return (
        f"Assumed: {m.peak:g} flop per cycle and core; bytes per cycle: {bandwidth}; caches: {caches}; "
        f"{m.latency:g} cycles for an operation to be done. Set them with --peak, --bandwidth, --caches."
    )


def _table(*columns: str) -> Table:
    table = Table(header_style="bold", box=None, pad_edge=False)
    for position, name in enumerate(columns):
        left = position == 0 or name in ("bound by", "equations", "kind")
        table.add_column(name, justify="left" if left else "right", no_wrap=True)
    return table


def _line(name: str, text: str) -> Text:
    return Text.assemble((f"{name:<16}", "bold"), text)


def _time(found: Cost, cycles: float) -> str:
    seconds = found.seconds(cycles)
    if seconds is None:
        return f"{number(cycles)} cycles"
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


def number(value: float) -> str:
    """A count with three digits and k, M, G or T."""
    for letter, scale in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= scale:
            return f"{value / scale:.3g} {letter}"
    return f"{value:.3g}"


def size(value: float) -> str:
    """Bytes with three digits and KiB, MiB or GiB."""
    for letter, scale in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if value >= scale:
            return f"{value / scale:.3g} {letter}"
    return f"{value:g} B"
