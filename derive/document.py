"""The derivation on paper, in plain form: forward equations, adjoint equations, what became of them; LaTeX and text.

Every equation carries its ID as tag and label; it is the ID in the comment beside the C line that computes it.
"""

from __future__ import annotations

import re
from typing import Any

import sympy as sp
from sympy.printing.latex import LatexPrinter
from sympy.tensor.indexed import Indexed

from derive import ir
from derive.adjoint import vjp
from derive.functions import BY_CLASS
from derive.ir import Equation, Program, Tensor
from derive.model import model
from derive.notation import Cell, Head
from derive.render import render
from derive.simplify import adjoints

_LINE = 74  # letters on a line of the page


class Latex(LatexPrinter):
    """SymPy's LaTeX, with tensors as W_{f,nj} and h_{n}(t-1) and with the functions of derive/functions.py."""

    def __init__(self, tensors: dict[str, Tensor]) -> None:
        super().__init__({"mul_symbol": r"\,", "fold_short_frac": False, "root_notation": True})
        self.tensors = tensors

    def _print_Indexed(self, expr: Indexed) -> str:  # noqa: N802
        tensor = self.tensors[ir.name_of(expr)]
        when = ir.time_of(expr, self.tensors)
        base = with_indices(tensor.latex or tensor.name, [self._print(i) for i in ir.indices_of(expr, self.tensors)])
        return base if when is None else f"{base}({self._print(when)})"

    def _print_Symbol(self, expr: sp.Symbol, style: str = "plain") -> str:  # noqa: N802
        tensor = self.tensors.get(str(expr))
        return (tensor.latex or tensor.name) if tensor is not None and tensor.rank == 0 else str(expr)

    def _print_Add(self, expr: sp.Add, order: Any = None) -> str:  # noqa: N802
        scale, rest = expr.primitive()
        if scale == 1 or not isinstance(rest, sp.Add):
            return str(super()._print_Add(expr, order))
        return rf"{self._print(scale)}\left({super()._print_Add(rest, order)}\right)"

    def _print_span(self, expr: sp.Expr) -> str:
        _, lo, hi = expr.args
        inside = f"t = {self._print(lo)}" if lo == hi else rf"{self._print(lo)} \le t \le {self._print(hi)}"
        return rf"\left[{inside}\right]"

    def _print_fma(self, expr: sp.Expr) -> str:
        a, b, c = expr.args
        return rf"\left({self._print(c + sp.Mul(a, b))}\right)"

    def _print_Function(self, expr: sp.Expr, exp: Any = None) -> str:  # noqa: N802
        record = BY_CLASS.get(expr.func)
        if record is None:
            return str(super()._print_Function(expr, exp))
        text = rf"{record.latex}\left({self._print(expr.args[0])}\right)"
        return f"{text}^{{{exp}}}" if exp else text


def with_indices(latex: str, indices: list[str]) -> str:
    """Put indices under a name that may have a subscript already."""
    if not indices:
        return latex
    below = " ".join(indices)
    head, sign, subscript = latex.partition("_")
    if sign and subscript.startswith("{") and subscript.endswith("}"):
        return rf"{head}_{{{subscript[1:-1]},{below}}}"
    if sign and len(subscript) == 1:
        return rf"{head}_{{{subscript},{below}}}"
    if " " in latex or (len(latex) > 1 and not latex.startswith("\\")):
        return rf"\left({latex}\right)_{{{below}}}"
    return rf"{latex}_{{{below}}}"


def equation_tex(equation: Equation, tensors: dict[str, Tensor]) -> str:
    """One numbered display; long sums are broken at their signs."""
    printer = Latex(tensors)
    lhs = printer.doprint(equation.lhs)
    parts = [printer.doprint(equation.rhs)]
    if isinstance(equation.rhs, sp.Add) and equation.rhs.primitive()[0] == 1:
        parts = [printer.doprint(a) for a in equation.rhs.as_ordered_terms()]
    where = rf"\qquad t = {sp.latex(equation.when[0])},\dots,{sp.latex(equation.when[1])}" if equation.when else ""
    lines: list[str] = []
    for number, part in enumerate([*parts, *([where] if where else [])]):
        joined = part if not number or part.startswith("-") or part == where else f"+ {part}"
        if not lines or _width(f"{lhs} {lines[-1]} {joined}") > _LINE:
            lines.append(joined)
        else:
            lines[-1] += f" {joined}"
    body = (" \\\\\n    &\\quad ").join(lines)
    return (
        f"\\begin{{equation}}\n  \\begin{{aligned}}\n    {lhs} &= {body}\n  \\end{{aligned}}\n"
        f"  \\tag{{{equation.id}}}\\label{{eq:{equation.id}}}\n\\end{{equation}}"
    )


def _width(latex: str) -> int:
    """About how many letters wide a line is: commands count as one, braces and subscripts' markers as none."""
    return len(re.sub(r"\\[a-zA-Z]+|\\.", "x", latex).translate(str.maketrans("", "", "{}_^ ")))


def tex(cell: Cell, loss: Head | None = None) -> str:
    """A LaTeX document that compiles alone: forward, loss, adjoint as derived, adjoint as compiled."""
    made = model(cell, loss)
    derived = made.adjoint.primal
    assert derived is not None
    plain = _derived(cell)
    return render(
        "latex/plain.tex.j2",
        model=made,
        loss_equations=_loss(made.loss),
        equation=equation_tex,
        derived=adjoints(plain),
        derived_tensors=plain.tensors,
        simplified=adjoints(made.adjoint),
        symbols=_symbols(plain),
        saved=[e for e in made.adjoint.equations if e.note == "saved derivative"],
        plain_name=cell.name.replace("_", r"\_"),
    )


def _derived(cell: Cell) -> Program:
    return vjp(cell.program())


def _loss(program: Program) -> list[Equation]:
    return [*(program.primal.equations if program.primal else ()), *adjoints(program)]


def _symbols(program: Program) -> list[tuple[str, str, str]]:
    """Name, role and shape of every tensor, for the table of symbols."""
    rows = []
    for tensor in program.tensors.values():
        name = tensor.latex or tensor.name
        shape = r" \times ".join(map(str, tensor.dims)) or "1"
        life = f"{sp.latex(tensor.time[0])},\\dots,{sp.latex(tensor.time[1])}" if tensor.time else ""
        rows.append((name, tensor.role, shape if not life else f"{shape}, \\; t = {life}"))
    return rows


def text(cell: Cell, loss: Head | None = None) -> str:
    """The same for a terminal: one equation a line, and the steps of the chain rule."""
    made = model(cell, loss)
    plain = _derived(cell)
    blocks = [
        (f"{cell.name}\n{'=' * len(cell.name)}\n\n{cell.doc}", []),
        ("Forward", [str(e) for e in made.primal.equations]),
        ("Loss", [str(e) for e in _loss(made.loss)]),
        ("Chain rule, one step for each tensor that an equation reads", [str(s) for s in plain.steps]),
        ("Adjoint", [str(e) for e in adjoints(plain)]),
        (
            "Adjoint as compiled (merged IDs in brackets)",
            [f"{e}{'   [' + ', '.join(e.merged) + ']' if e.merged else ''}" for e in adjoints(made.adjoint)],
        ),
        ("Operations per unit and step of the pointwise adjoint", [str(c) for c in made.counts]),
    ]
    return "\n\n".join(f"{title}\n\n" + "\n".join(lines) if lines else title for title, lines in blocks) + "\n"
