"""The verifier: every pass hands its program to it, so that a mistake is found where it is made."""

from __future__ import annotations

from typing import Any

import sympy as sp
from sympy.tensor.indexed import Indexed

from derive.errors import DeriveError
from derive.ir.access import indices_of
from derive.ir.program import Equation, Program, Tensor, name_of
from derive.ir.symbols import REDUCTIONS, Span, T, t


def verify(program: Program) -> Program:
    """Check ranks, index ranges, single definition and capture; return the program or raise a `DeriveError`."""
    tensors = program.tensors
    seen: dict[str, list[Span]] = {}
    for equation in program.equations:
        where = f"{program.name}, equation {equation.id or equation.lhs}"
        if equation.target not in tensors:
            raise DeriveError(f"{where}: defines {equation.target}, which is no tensor of the program")
        tensor = tensors[equation.target]
        if len(getattr(equation.lhs, "indices", ())) != tensor.rank:
            raise DeriveError(f"{where}: {equation.lhs} on the left must have {tensor.rank} indices")
        domain = dict(zip(indices_of(equation.lhs, tensors), tensor.dims, strict=True))
        if len(domain) != len(tensor.dims):
            raise DeriveError(f"{where}: an index stands twice on the left in {equation.lhs}")
        _verify_ranges(equation.rhs, {**domain, t: "time"} if equation.when else domain, tensors, where)
        _verify_single(equation, tensor, seen, where)
    return program


def _verify_single(equation: Equation, tensor: Tensor, seen: dict[str, list[Span]], where: str) -> None:
    if tensor.time is None:
        part: Span = (sp.Integer(0), sp.Integer(0))
    else:
        when = equation.lhs.indices[0]
        part = equation.when if when == t and equation.when else (when, when)
    for lo, hi in seen.get(tensor.name, []):
        if not (sp.simplify(part[0] - hi).is_positive or sp.simplify(lo - part[1]).is_positive):
            raise DeriveError(
                f"{where}: {tensor.name} is defined twice for t = {lo}..{hi}; give one equation a new name"
            )
    seen.setdefault(tensor.name, []).append(part)


def _verify_ranges(expr: sp.Expr, domain: dict[Any, Any], tensors: dict[str, Tensor], where: str) -> None:
    if isinstance(expr, REDUCTIONS):
        inner = dict(domain)
        for symbol, _lo, hi in expr.limits:
            if symbol in domain:
                raise DeriveError(f"{where}: the summed index {symbol} is also free there; give the sum its own index")
            inner[symbol] = "time" if (hi - T).is_Integer else hi
        return _verify_ranges(expr.function, inner, tensors, where)
    if isinstance(expr, Indexed):
        name = name_of(expr)
        if name not in tensors:
            raise DeriveError(f"{where}: reads {name}, which is no tensor of the program")
        tensor = tensors[name]
        if len(expr.indices) != tensor.rank:
            raise DeriveError(f"{where}: {expr} has {len(expr.indices)} indices, {name} has {tensor.rank}")
        if len(set(indices_of(expr, tensors))) < len(tensor.dims):
            raise DeriveError(f"{where}: an index stands twice in {expr}; a diagonal matrix is written as a vector")
        for position, dim in zip(indices_of(expr, tensors), tensor.dims, strict=True):
            if position not in domain:
                raise DeriveError(f"{where}: index {position} of {expr} is neither on the left nor summed")
            if domain[position] != dim:
                raise DeriveError(
                    f"{where}: index {position} of {expr} runs over {domain[position]}, {name} has {dim} there"
                )
        return None
    for argument in expr.args:
        if isinstance(argument, sp.Expr):
            _verify_ranges(argument, domain, tensors, where)
    return None
