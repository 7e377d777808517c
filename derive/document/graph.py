"""The dependency graph as a drawing: laid out once, written as TikZ and as SVG.

Layers are the longest paths from the inputs; a long edge passes through empty places of the layers between; places in a
layer follow the mean of their neighbours' places, swept in both directions.  All of it is integer and sorted: same cell, same
drawing.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from html import escape
from itertools import pairwise

from derive import ir
from derive.document.derivation import Derivation
from derive.document.unicode import unicode

Point = tuple[float, float]


@dataclass(frozen=True)
class Node:
    """A labelled place; kind: given, state, value, cell, plain."""

    at: Point
    label: str
    kind: str
    size: Point = (1.0, 0.6)


@dataclass(frozen=True)
class Edge:
    """A curve through points, with an arrow at its end; kind: same, carry, back.  A label stands at its middle."""

    points: tuple[Point, ...]
    kind: str = "same"
    label: str = ""


@dataclass(frozen=True)
class Drawing:
    """Nodes and edges in centimetres, y upwards."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    width: float
    height: float
    text: tuple[str, ...] = ()


def cell(d: Derivation) -> Drawing:
    """One step: inputs at the left, the new states at the right."""
    reads = _reads(d)
    if len(reads) > 18:
        reads = _folded(d, reads)
    layers = _layers(reads)
    places = _places(reads, layers)
    across, down = (1.75, 0.95) if max(layers.values()) < 8 else (1.35, 0.85)
    rows = max(place for _, place in places.values()) + 1

    def at(name: str) -> Point:
        layer, place = places[name]
        own = [p for n, (la, p) in places.items() if la == layer]
        return layer * across, (rows - 1) * down / 2 - (place - Fraction(len(own) - 1, 2)) * down  # type: ignore[return-value]

    nodes, edges = [], []
    for name in [n for n in places if "|" not in n]:
        x, y = at(name)
        nodes.append(Node((x, float(y)), _label(d, name), _kind(d, name), (_half(name) * 2, 0.6)))
    for target, sources in reads.items():
        for source in sources:
            path = [source, *(f"{source}|{target}|{k}" for k in range(layers[source] + 1, layers[target])), target]
            points = [at(n) for n in path]
            start, end = points[0][0] + _half(source), points[-1][0] - _half(target)
            ends = [(start, points[0][1]), *points[1:-1], (end, points[-1][1])]
            kind = "carry" if source.endswith("@-1") else "same"
            edges.append(Edge(tuple((x, float(y)) for x, y in ends), kind))
    text = tuple(
        f"{unicode(_label(d, t))} ← {', '.join(unicode(_label(d, s)) for s in sources)}"
        for t, sources in reads.items()
        if sources
    )
    return Drawing(
        tuple(nodes), tuple(edges), max(x for _, x in ((0, layers[n] * across) for n in layers)), rows * down, text
    )


def _half(name: str) -> float:
    """Half the width of a node."""
    return 0.68 if name.endswith("@-1") else 0.5


def _reads(d: Derivation) -> dict[str, list[str]]:
    """What each value of a step reads; a state of the step before is written h@-1."""
    found: dict[str, list[str]] = {}
    for equation in d.forward:
        sources = []
        for access in d.reads(equation):
            name = ir.name_of(access)
            if d.tensors[name].role == "param":
                continue
            sources.append(f"{name}@-1" if ir.offset(ir.time_of(access, d.tensors)) == -1 else name)
        found[equation.target] = list(dict.fromkeys(sources))
    for name in [s for sources in found.values() for s in sources]:
        found.setdefault(name, [])
    return found


def _folded(d: Derivation, reads: dict[str, list[str]]) -> dict[str, list[str]]:
    """The members of a family as one node, where there are too many nodes to be read."""

    def name(n: str) -> str:
        bare = n.removesuffix("@-1")
        return f"{d.tensors[bare].family}#" if d.tensors[bare].family else n

    found: dict[str, list[str]] = {}
    for target, sources in reads.items():
        own = found.setdefault(name(target), [])
        own += [name(s) for s in sources if name(s) not in own]
    return found


def _layers(reads: dict[str, list[str]]) -> dict[str, int]:
    found: dict[str, int] = {}

    def layer(name: str) -> int:
        if name not in found:
            found[name] = 1 + max((layer(s) for s in reads[name]), default=-1)
        return found[name]

    for name in reads:
        layer(name)
    return found


def _places(reads: dict[str, list[str]], layers: dict[str, int]) -> dict[str, tuple[int, int]]:
    """(layer, place) of every node and of every passage of a long edge."""
    links: list[tuple[str, str]] = []
    columns: list[list[str]] = [[] for _ in range(max(layers.values()) + 1)]
    for name, layer in layers.items():
        columns[layer].append(name)
    for target, sources in reads.items():
        for source in sources:
            path = [source]
            for k in range(layers[source] + 1, layers[target]):
                columns[k].append(f"{source}|{target}|{k}")
                path.append(columns[k][-1])
            path.append(target)
            links += list(pairwise(path))
    before = {n: [a for a, b in links if b == n] for column in columns for n in column}
    after = {n: [b for a, b in links if a == n] for column in columns for n in column}
    best, fewest = [list(c) for c in columns], _crossings(columns, links)
    for sweep in range(24):
        forward = sweep % 2 == 0
        for k in range(1, len(columns)) if forward else range(len(columns) - 2, -1, -1):
            other = columns[k - 1] if forward else columns[k + 1]
            near = before if forward else after
            place = {n: Fraction(2 * p - len(other) + 1, 2) for p, n in enumerate(other)}
            key = _key(columns[k], near, place)
            columns[k].sort(key=key)
        count = _crossings(columns, links)
        if count < fewest:
            best, fewest = [list(c) for c in columns], count
    return {n: (k, p) for k, column in enumerate(best) for p, n in enumerate(column)}


def _key(
    column: list[str], near: dict[str, list[str]], place: dict[str, Fraction]
) -> Callable[[str], tuple[Fraction, int]]:
    now = {n: p for p, n in enumerate(column)}

    def key(name: str) -> tuple[Fraction, int]:
        own = [place[m] for m in near[name]]
        middle = Fraction(2 * now[name] - len(column) + 1, 2)
        return (sum(own, Fraction(0)) / len(own) if own else middle, now[name])

    return key


def _crossings(columns: list[list[str]], links: list[tuple[str, str]]) -> int:
    place = {n: (k, p) for k, column in enumerate(columns) for p, n in enumerate(column)}
    ends = [(place[a][0], place[a][1], place[b][1]) for a, b in links]
    return sum(1 for i, (k, a, b) in enumerate(ends) for m, u, v in ends[i + 1 :] if k == m and (a - u) * (b - v) < 0)


def _label(d: Derivation, name: str) -> str:
    bare, sign, _ = name.partition("@")
    if bare.endswith("#"):
        letter = next(d.names.letters[x.name] for x in d.primal.tensors.values() if x.family == bare[:-1])
        return f"{letter.head}_q"
    return d.names.letters[bare].latex((), "t-1" if sign else "")


def _kind(d: Derivation, name: str) -> str:
    bare = name.partition("@")[0]
    if bare in d.states:
        return "state"
    return "given" if not bare.endswith("#") and d.tensors[bare].role == "input" else "value"


def chain(d: Derivation) -> Drawing:
    """Steps t-1, t, t+1: states run to the right, adjoints to the left."""
    inner = 0.75
    nodes, edges = [], []
    inputs, e = [d.names.plain(n) for n in d.primal.facts.inputs], d.names.plain(f"seed_{d.primal.facts.output}")
    gap = max(4.1, 1.3 * len(inputs) + 0.2)  # from one step to the next
    out = d.names.plain(d.primal.facts.output)
    rows = len(d.states)
    half = max(0.75, rows * inner)
    for p, when in enumerate(("t-1", "t", "t+1")):
        middle = p * gap
        nodes.append(Node((middle, 0.0), when, "cell", (1.8, 2 * half)))
        given, bars = (r",\,".join(rf"{form % x}({when})" for x in inputs) for form in ("%s", r"\bar{%s}"))
        nodes.append(Node((middle, -half - 1.2), given, "given", (1.3 * len(inputs), 0.6)))
        nodes.append(Node((middle, half + 1.2), rf"{out}({when})", "state", (1.3, 0.6)))
        edges.append(Edge(((middle - 0.25, -half - 0.9), (middle - 0.25, -half))))
        edges.append(Edge(((middle + 0.25, -half), (middle + 0.25, -half - 0.9)), "back", bars))
        edges.append(Edge(((middle - 0.25, half), (middle - 0.25, half + 0.9))))
        edges.append(Edge(((middle + 0.25, half + 0.9), (middle + 0.25, half)), "back", rf"{e}({when})"))
        for q, state in enumerate(d.states):
            y = (rows - 1) * inner - 2 * q * inner
            letter, bar = d.names.plain(state), d.names.plain(f"d_{state}")
            if p < 2:
                label = f"{letter}({when})"
                edges.append(Edge(((middle + 0.9, y + 0.17), (middle + gap - 0.9, y + 0.17)), "carry", label))
                edges.append(Edge(((middle + gap - 0.9, y - 0.17), (middle + 0.9, y - 0.17)), "back", f"{bar}({when})"))
    text = tuple(
        f"{unicode(d.names.plain(s))}(t-1) → t → {unicode(d.names.plain(s))}(t) → t+1;   "
        f"{unicode(d.names.plain(f'd_{s}'))}(t-1) ← t ← {unicode(d.names.plain(f'd_{s}'))}(t) ← t+1"
        for s in d.states
    )
    return Drawing(tuple(nodes), tuple(edges), 2 * gap + 1.8, 2 * half + 3.2, text)


# -- how it is written ------------------------------------------------------------------------------------------------


def _number(value: float) -> str:
    found = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if found == "-0" else found


def tikz(drawing: Drawing, widest: float = 15.5) -> str:
    """The drawing as a tikzpicture; scaled where it would be wider than the page."""
    lines = []
    scale = min(1.0, widest / (drawing.width + 1.2))
    option = f"scale={_number(scale)}, every node/.append style={{transform shape}}" if scale < 1 else ""
    for edge in drawing.edges:
        path = _tikz_path(edge.points)
        label = ""
        if edge.label:
            side = "below" if edge.kind == "back" and edge.points[0][1] == edge.points[-1][1] else "above"
            side = "right" if edge.points[0][0] == edge.points[-1][0] else side
            label = rf" node[midway, {side}, note{', back note' if edge.kind == 'back' else ''}] {{${edge.label}$}}"
            path = path.replace(" -- ", f" --{label} ", 1)
        lines.append(rf"  \draw[{edge.kind} edge] {path};")
    for node in drawing.nodes:
        x, y = map(_number, node.at)
        w, h = map(_number, node.size)
        size = f"minimum width={w}cm, minimum height={h}cm"
        lines.append(rf"  \node[{node.kind} node, {size}] at ({x}, {y}) {{${node.label}$}};")
    return "\\begin{tikzpicture}" + (f"[{option}]" if option else "") + "\n" + "\n".join(lines) + "\n\\end{tikzpicture}"


def _tikz_path(points: tuple[Point, ...]) -> str:
    found = f"({_number(points[0][0])}, {_number(points[0][1])})"
    for (x, y), (u, v) in pairwise(points):
        if x == u or y == v:
            found += f" -- ({_number(u)}, {_number(v)})"
            continue
        bend = (x + u) / 2
        found += f" .. controls ({_number(bend)}, {_number(y)}) and ({_number(bend)}, {_number(v)}) .. ({_number(u)}, {_number(v)})"
    return found


_PX = 44.0


def svg(drawing: Drawing, title: str = "") -> str:
    """The drawing as an inline SVG element; colours come from the page's style sheet."""
    passed = [p for e in drawing.edges for p in e.points]
    labelled = [e.points[0][0] + 1.3 for e in drawing.edges if e.label and e.points[0][0] == e.points[-1][0]]
    left = min(*(n.at[0] - n.size[0] / 2 for n in drawing.nodes), *(x for x, _ in passed)) - 0.2
    right = max([n.at[0] + n.size[0] / 2 for n in drawing.nodes] + labelled) + 0.2
    low = min(*(n.at[1] - n.size[1] / 2 for n in drawing.nodes), *(y for _, y in passed)) - 0.2
    high = max(*(n.at[1] + n.size[1] / 2 for n in drawing.nodes), *(y for _, y in passed)) + 0.2

    def at(point: Point) -> tuple[str, str]:
        return _number((point[0] - left) * _PX), _number((high - point[1]) * _PX)

    lines = []
    for edge in drawing.edges:
        lines.append(f'<path class="{edge.kind}" d="{_svg_path(edge.points, at)}" marker-end="url(#tip-{edge.kind})"/>')
        if edge.label:
            (x, y), (u, v) = edge.points[0], edge.points[-1]
            upright = x == u
            place = (
                (x + 0.12, (y + v) / 2 - 0.1)
                if upright
                else ((x + u) / 2, y + (0.14 if edge.kind != "back" else -0.42))
            )
            anchor = "start" if upright else "middle"
            px, py = at(place)
            lines.append(
                f'<text class="note {edge.kind}" x="{px}" y="{py}" text-anchor="{anchor}">{svg_text(edge.label)}</text>'
            )
    for node in drawing.nodes:
        corner = at((node.at[0] - node.size[0] / 2, node.at[1] + node.size[1] / 2))
        w, h = (_number(s * _PX) for s in node.size)
        cx, cy = at((node.at[0], node.at[1] - 0.1))
        lines.append(f'<rect class="{node.kind}" x="{corner[0]}" y="{corner[1]}" width="{w}" height="{h}" rx="7"/>')
        lines.append(f'<text x="{cx}" y="{cy}" text-anchor="middle">{svg_text(node.label)}</text>')
    width, height = _number((right - left) * _PX), _number((high - low) * _PX)
    return (
        f'<svg viewBox="0 0 {width} {height}" style="max-width:{width}px" role="img" aria-label="{escape(title, quote=True)}">\n'
        + "\n".join(lines)
        + "\n</svg>"
    )


def _svg_path(points: tuple[Point, ...], at: Callable[[Point], tuple[str, str]]) -> str:
    found = "M{} {}".format(*at(points[0]))
    for (x, y), (u, v) in pairwise(points):
        if x == u or y == v:
            found += " L{} {}".format(*at((u, v)))
            continue
        bend = (x + u) / 2
        found += " C{} {} {} {} {} {}".format(*at((bend, y)), *at((bend, v)), *at((u, v)))
    return found


def svg_text(latex: str) -> str:
    """A letter with its subscript and time, as SVG text."""
    head, below, rest = _split(latex)
    barred = re.fullmatch(r"\\(?:bar|overline)\{(.*)\}", head)
    head, mark = (barred[1], "v bar") if barred else (head, "v")
    found = f'<tspan class="{mark}">{escape(unicode(head)).replace("-", "−")}</tspan>'
    if below:
        found += f'<tspan class="sub" dy="4">{escape(unicode(below))}</tspan>'
    if rest:
        shift = ' dy="-4"' if below else ""
        found += f"<tspan{shift}>{escape(unicode(rest)).replace('-', '−')}</tspan>"
    return found


def _split(latex: str) -> tuple[str, str, str]:
    r"""Head, subscript and what follows: `\bar{z}_{f}(t)` is z with a bar, f, (t)."""
    body, sign, time = latex.partition("(")
    head, _, below = body.partition("_")
    return head, below.strip("{}"), sign + time
