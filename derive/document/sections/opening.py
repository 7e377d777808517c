"""Sections 1 and 2: what the symbols mean, and what a network without gates does to its gradient."""

from __future__ import annotations

import sympy as sp

from derive import ir, registry
from derive.document import structure
from derive.document.blocks import Block, Bullets, Display, Paragraph, Row, Table
from derive.document.derivation import Derivation
from derive.document.messages import Messages
from derive.ir import Tensor
from derive.signature import is_stacked


def conventions(d: Derivation, say: Messages) -> list[Block]:
    """How to read the formulas; every symbol with its shape and range; what others call it."""
    return [
        Paragraph(say("conventions.reading")),
        Paragraph(say("conventions.bar")),
        Paragraph(say("conventions.zero")),
        Paragraph(say("conventions.ids")),
        Paragraph(say("conventions.table")),
        Table(
            tuple(say(f"conventions.head.{k}") for k in ("symbol", "meaning", "shape", "range", "code")),
            tuple(_symbol(d, say, x) for x in d.primal.tensors.values() if x.role not in ("final",))
            + tuple(_symbol(d, say, x) for x in _of_loss(d)),
            (1,),
        ),
        Paragraph(say("conventions.synonyms")),
        Bullets(tuple(_synonyms(d, say))),
    ]


def _of_loss(d: Derivation) -> list[Tensor]:
    """What a loss reads beside the prediction, and the values that it makes."""
    written = d.made.loss.primal
    assert written is not None
    return [x for x in written.tensors.values() if x.name not in d.primal.tensors]


def _of_steps(d: Derivation) -> set[str]:
    """The values of a step that the loss adds up."""
    written = d.made.loss.primal
    assert written is not None
    return {ir.name_of(a) for a in ir.accesses(written.equations[-1].rhs, written.tensors) if a.has(ir.t)}


def _symbol(d: Derivation, say: Messages, tensor: Tensor) -> tuple[str, ...]:
    if tensor.name in d.primal.tensors:
        meaning = structure.meaning(d, say, tensor.name)
    else:
        single = tensor.name in _of_steps(d)
        other = {"value": "step_loss" if single else "loss_value", "weight": "weight_of_step"}
        meaning = say(f"role.{other.get(tensor.role, tensor.role)}")
    letter = d.names.letters[tensor.name]
    symbol = letter.latex((), "t" if tensor.time is not None else "")
    shape = r" \times ".join(map(str, tensor.dims)) or "1"
    when = f"${d.formula.range(tensor.time)}$" if tensor.time is not None else ""
    return f"${symbol}$", meaning, f"${shape}$", when, _code(d, tensor)


def _code(d: Derivation, tensor: Tensor) -> str:
    """The name of a tensor in Python and C: of a parameter its array, with the rows of its gate."""
    if tensor.role == "param":
        array, gate = d.array(tensor.name)
        if is_stacked(d.primal, tensor):
            first, last = (_times(k, tensor.dims[0]) for k in (gate, gate + 1))
            rows = f"{first}:{last}"
            return f"`{array}[{rows}]`"
        return f"`{array}`"
    if tensor.name == d.primal.facts.output:
        return f"`{tensor.name}`, `out`"
    return f"`{tensor.name}`"


def _times(count: int, dim: sp.Symbol) -> str:
    """2*H, and H and 0 as one writes them."""
    return "0" if not count else str(dim) if count == 1 else f"{count}*{dim}"


def _synonyms(d: Derivation, say: Messages) -> list[str]:
    """What other texts write, as far as it concerns this cell."""
    show = d.names.plain
    found = [say("synonym.time", h=show(d.states[0])), say("synonym.bar", v=show(d.states[0]))]
    pair = structure.input_and_recurrent(d)
    if pair is not None:
        w, u, x, h = (show(n) for n in pair)
        found.append(say("synonym.weights", w=w, u=u, x=x, h=h))
    for candidate, state in structure.candidates(d):
        found.append(say("synonym.candidate", g=show(candidate), c=show(state)))
    for state in d.states[1:]:
        found.append(say("synonym.memory", c=show(state), h=show(d.states[0])))
    if "bias" in d.made.meta["params"]:
        found.append(
            say("synonym.bias", b=show(next(x.name for x in d.primal.of_role("param") if d.array(x.name)[0] == "bias")))
        )
    if d.gates:
        found.append(
            say("synonym.order", gates=say.list([f"${show(g)}$" if g in d.tensors else f"`{g}`" for g in d.gates]))
        )
    return found


def why_gates(d: Derivation, say: Messages) -> list[Block]:
    """The simple network, differentiated by the same engine; the product of Jacobians; what this cell has instead."""
    plain = d if d.cell.name == "rnn" else Derivation(registry.cell("rnn"))
    state = plain.states[0]
    h, u = plain.names.plain(state), structure.recurrent_matrix(plain)
    rows = [plain.row(e, id="") for e in plain.forward]
    back = [plain.row(e, id="") for e in plain.backward if plain.tensors[e.target].role == "adjoint"]
    block = structure.jacobian(plain)[0]
    jacobian = structure.jacobian_latex(plain, block)
    blocks: list[Block] = [
        Paragraph(say("gates.simple")),
        Display(tuple(rows)),
        Paragraph(say("gates.backward")),
        Display(tuple(back)),
        Paragraph(say("gates.jacobian", h=h)),
        Display((Row(rf"\frac{{\partial {h}(t)}}{{\partial {h}(t-1)}}", (jacobian,)), _product(h, jacobian))),
        Paragraph(say("gates.norm", h=h, u=plain.names.plain(u))),
        Display((_bound(h, plain.names.plain(u), structure.largest_slope(plain)),)),
        Paragraph(say("gates.explode", u=plain.names.plain(u))),
    ]
    if d.cell.name == "rnn":
        return [*blocks, Paragraph(say("gates.itself"))]
    if not structure.in_matrices(d):
        return blocks  # the derivative of a state by itself has other than two indices, or what it is made of has
    direct = [b for b in structure.jacobian(d) if b.row == b.column and b.direct]
    for b in direct:
        s = d.names.plain(b.row)
        blocks += [
            Paragraph(say("gates.direct", s=s)),
            Display((Row(rf"\frac{{\partial {s}(t)}}{{\partial {s}(t-1)}}", tuple(structure.jacobian_parts(d, b))),)),
            Paragraph(say("gates.carousel", s=s, f=structure.diagonal(d, sp.Add(*b.direct)))),
        ]
    if not direct:
        blocks.append(Paragraph(say("gates.nodirect")))
    return blocks


def _product(h: str, jacobian: str) -> Row:
    over = jacobian.replace("(t)", "(r)").replace("(t - 1)", "(r - 1)")
    return Row(
        rf"\frac{{\partial {h}(t)}}{{\partial {h}(t-\tau)}}",
        (rf"\prod_{{r=t}}^{{t-\tau+1}} {over}",),
    )


def _bound(h: str, u: str, slope: sp.Expr) -> Row:
    factor = rf"\lVert {u} \rVert" if slope == 1 else rf"\bigl({sp.latex(slope)}\,\lVert {u} \rVert\bigr)"
    return Row(
        rf"\left\lVert \frac{{\partial {h}(t)}}{{\partial {h}(t-\tau)}} \right\rVert",
        (rf"{factor}^{{\tau}}",),
        sign=r"\le",
    )
