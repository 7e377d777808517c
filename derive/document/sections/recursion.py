"""Sections 11 to 13: both ends of time, the algorithm with its cost, and how far a gradient reaches."""

from __future__ import annotations

from collections.abc import Iterator

import sympy as sp

from derive import ir
from derive.document import gradient_flow, structure
from derive.document.blocks import Block, Box, Bullets, Display, Figure, Paragraph, Row, Table
from derive.document.derivation import Derivation
from derive.document.formula import joined
from derive.document.messages import Messages
from derive.ir import Equation, Origin, T, t


def boundaries(d: Derivation, say: Messages) -> list[Block]:
    """What the ranges of the indices make of each recursion at t = T and at t = 0."""
    blocks: list[Block] = [Paragraph(say("boundaries.rule"))]
    items = []
    for step in d.derived.steps:
        goal = d.tensors[f"d_{step.read.partition('[')[0]}"]
        if step.when is not None and goal.time is not None and step.when != goal.time and step.when != ir.STEPS:
            items.append(
                say(
                    "boundaries.step",
                    step=step.id,
                    v=d.names.letters[goal.name].latex((), "t"),
                    range=d.formula.range(step.when),
                    parent=f"[[{step.parent}]]",
                )
            )
    blocks += [Bullets(tuple(items)), Paragraph(say("boundaries.last"))]
    rows, first = [], []
    for state in d.states:
        equation = d.adjoint_of(state)
        assert equation is not None
        last, start = d.at(equation, T), d.at(equation, sp.Integer(0))
        rows += [d.row(last, id="")] if last is not None else []
        first += [d.row(start, id="")] if start is not None else []
    blocks += [Display(tuple(rows)), Paragraph(say("boundaries.first")), Display(tuple(first))]
    initial = [e for e in d.backward if d.tensors[d.tensors[e.target].primal].role == "initial"]
    if initial:
        names = say.list([f"${d.names.plain(e.target)}$" for e in initial])
        blocks += [Paragraph(say("boundaries.initial", h=names)), Display(tuple(d.row(e) for e in initial))]
    return blocks


def algorithm(d: Derivation, say: Messages) -> list[Block]:
    """The two loops with the equations that the C runs, then what they cost."""
    lines: list[tuple[int, str]] = [(0, say("algorithm.start"))]
    lines += [(1, _assigned(d, e)) for e in d.ends if e.origin is Origin.INITIAL_STATE]
    lines += [(0, say("algorithm.forward"))]
    order = ir.in_step(d.primal, [e.target for e in d.forward])
    lines += [(1, _assigned(d, e)) for name in order for e in d.forward if e.target == name]
    lines += [(1, _assigned(d, e)) for e in d.kept]
    lines += [(0, say("algorithm.backward"))]
    timed = [e for e in d.compiled if e.lhs.has(t)]
    lines += [(1, _assigned(d, e)) for e in timed]
    lines += [(0, say("algorithm.after"))]
    lines += [(1, _assigned(d, e)) for e in d.compiled if e not in timed]
    tape = (
        say.list([f"${d.names.letters[n].latex((), 't')}$" for n in d.made.tape]) if d.made.tape else say("list.none")
    )
    width = sp.Add(*(sp.Mul(*d.tensors[n].dims) for n in d.made.tape))
    head = tuple(say(f"algorithm.head.{k}") for k in ("work", "products", "forward", "backward"))
    return [
        Paragraph(say("algorithm.reading")),
        Box(say("algorithm.title", name=f"`{d.cell.name}`"), tuple(lines)),
        Paragraph(say("algorithm.flops")),
        Table(head, tuple(_costs(d, say)), (0,)),
        Paragraph(say("algorithm.memory", tape=tape, width=sp.latex(width), bytes=sp.latex(4 * width))),
        Paragraph(say("algorithm.pointwise", **_pointwise(d))),
    ]


def _assigned(d: Derivation, equation: Equation) -> str:
    row = d.row(equation)
    return rf"${row.lhs} \leftarrow {joined(list(row.parts))}$ [[{equation.id}]]"


def _costs(d: Derivation, say: Messages) -> Iterator[tuple[str, ...]]:
    """Multiply-adds of every matrix product: forward, and of the two products that its derivative takes."""
    columns = _products(d, d.forward), _products(d, d.compiled)
    for kind in dict.fromkeys([*columns[0], *columns[1]]):
        cells = [sp.factor(2 * found[kind][0] * T) if kind in found else None for found in columns]
        many = [str(found[kind][1]) for found in columns if kind in found]
        yield say(f"algorithm.{kind}"), " + ".join(many), *("" if c is None else f"${sp.latex(c)}$" for c in cells)
    total = [sp.factor(sum((2 * size * T for size, _ in found.values()), sp.Integer(0))) for found in columns]
    yield say("algorithm.total"), "", *(f"${sp.latex(x)}$" for x in total)


def _products(d: Derivation, equations: list[Equation]) -> dict[str, tuple[sp.Expr, int]]:
    """Products with the input, with the state, and for gradients of matrices: of each kind the size of all, and how many."""
    found: dict[str, list[sp.Expr]] = {}
    for equation in equations:
        for total in ir.ordered(equation.rhs.atoms(sp.Sum)):
            reads = ir.accesses(total.function, d.tensors)
            dims = {
                i: n
                for a in reads
                for i, n in zip(ir.indices_of(a, d.tensors), d.tensors[ir.name_of(a)].dims, strict=True)
            }
            tensors = [d.tensors[ir.name_of(a)] for a in reads]
            matrix = any(x.role == "param" and len(x.dims) > 1 for x in tensors)
            if matrix:
                inputs = "input" in {
                    d.tensors[d.tensors[n].primal or n].role for n in (equation.target, *map(ir.name_of, reads))
                }
                kind = "parallel" if inputs else "recurrent"
            elif any(s == t for s, *_ in total.limits) and len(dims) == 2:
                kind = "weight_gradient"
            else:
                continue
            found.setdefault(kind, []).append(sp.Mul(*dims.values()))
    return {kind: (sp.Add(*sizes), len(sizes)) for kind, sizes in found.items()}


def _pointwise(d: Derivation) -> dict[str, object]:
    last = d.made.counts[-1]
    return {"mul": last.multiplications, "add": last.additions, "div": last.divisions, "calls": last.calls}


def flow(d: Derivation, say: Messages) -> list[Block]:
    """The Jacobian of one step in blocks, what stands on its diagonal, and the measured norm over the lag."""
    blocks: list[Block] = _jacobian(d, say) if structure.in_matrices(d) else []
    for figure in gradient_flow.figures(d):
        blocks += [Paragraph(say(f"flow.{figure.key}")), Figure(figure, say(f"flow.{figure.key}.caption"))]
    return blocks


def _jacobian(d: Derivation, say: Messages) -> list[Block]:
    """The Jacobian of one step in blocks, and what stands on its diagonal."""
    blocks: list[Block] = [Paragraph(say("flow.jacobian", s=say.list([f"${d.names.plain(s)}(t)$" for s in d.states])))]
    rows, items = [], []
    for block in structure.jacobian(d):
        to, of = d.names.plain(block.row), d.names.plain(block.column)
        parts = structure.jacobian_parts(d, block)
        rows.append(Row(rf"\frac{{\partial {to}(t)}}{{\partial {of}(t-1)}}", tuple(parts)))
        if block.row == block.column and block.direct:
            items.append(say(f"flow.{structure.kind(block)}", s=to, f=structure.diagonal(d, sp.Add(*block.direct))))
    blocks += [Display(tuple(rows))]
    blocks += [Paragraph(say("flow.others"))] if any(b.others for b in structure.jacobian(d)) else []
    silent = [s for s in d.states if not any(b.row == b.column == s and b.direct for b in structure.jacobian(d))]
    items += [say("flow.through", s=d.names.plain(s)) for s in silent]
    return [*blocks, Bullets(tuple(items)), Paragraph(say("flow.adjoint"))]
