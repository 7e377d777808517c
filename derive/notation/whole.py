"""What only the whole of a cell shows, heads included: that sizes can be told, and that no two things share a name."""

from __future__ import annotations

from dataclasses import replace

import sympy as sp
from sympy.tensor.indexed import Indexed

from derive import ir
from derive.errors import DeriveError
from derive.ir import Equation, Program, T, Tensor, t
from derive.notation.public import TARGETS, check_public_names
from derive.passes.normal_form import verify_normal
from derive.passes.normalize import normalize


def split(where: str, source: Program) -> Program:
    """The program with its equations split into those of normal form, as far as they can be."""
    try:
        return normalize(source)
    except RecursionError:
        raise DeriveError(f"{where}: a formula is nested too deeply; give its parts names") from None


def in_normal_form(where: str, source: Program) -> Program:
    """The program in normal form; DeriveError, with the line of the equation, for one that no kernel can compute."""
    try:
        return verify_normal(split(where, source))
    except DeriveError as error:
        text = str(error) if str(error).startswith(where) else f"{where}: {str(error).removeprefix(f'{source.name}, ')}"
        raise DeriveError(f"{text}{_line_of_failure(source)}") from error


def _line_of_failure(source: Program) -> str:
    """The line of the first equation that has no normal form by itself."""
    for equation in source.equations:
        try:
            verify_normal(normalize(replace(source, equations=(equation,))))
        except DeriveError:
            return _line(source, equation.target)
    return ""


def _line(program: Program, name: str) -> str:
    """Where a tensor is defined, or read first, to stand behind a message."""
    line = program.facts.lines.get(name)
    return f"\n  {line}" if line is not None else ""


def per_step(program: Program) -> Program:
    """A loss whose number is a sum of numbers of one step: what stands under its sums over time gets an equation.

    L[()] = Sum(Sum(h[t, n]**2, n) / H, t)   ->   l[t] = Sum(h[t, n]**2, n) / H;  L[()] = Sum(l[t], t)
    """
    *before, last = program.equations
    tensors, made = dict(program.tensors), []

    def number(total: sp.Sum) -> sp.Expr:
        limits = [limit for limit in total.limits if limit[0] != t]
        if not limits and isinstance(total.function, Indexed):
            return total
        name = ir.unused_name("l", tensors)
        tensors[name] = Tensor(name, (), (), time=ir.STEPS, latex=r"\ell")
        body = sp.Sum(total.function, *limits) if limits else total.function
        made.append(Equation(tensors[name].at(), body, when=ir.STEPS))
        return sp.Sum(tensors[name].at(), (t, 1, T))

    rhs = last.rhs.replace(_is_over_time, number)
    line = program.facts.lines.get(last.target)
    lines = {e.target: line for e in made} if line is not None else {}
    facts = replace(program.facts, lines={**lines, **program.facts.lines})
    return replace(program, tensors=tensors, equations=(*before, *made, replace(last, rhs=rhs)), facts=facts)


def _is_over_time(expr: sp.Expr) -> bool:
    return isinstance(expr, sp.Sum) and any(symbol == t for symbol, *_ in expr.limits)


def check_whole(where: str, program: Program) -> None:
    """Raise for a public name that is taken, and for a size that stands on no array that a caller gives."""
    check_public_names(where, program)
    known = {str(d) for x in program.of_role("param", "input") for d in x.dims}
    for size in program.facts.sizes:
        if size not in known:
            holder = next(x for x in program.tensors.values() if size in map(str, x.dims))
            bias = f"{holder.at()} = ... + b[{holder.indices[-1]}]"
            raise DeriveError(
                f"{where}: {holder.name} has the size {size}, which stands on no parameter and not on an input, so that no "
                f"call can tell it; give it a parameter of that size, such as a bias, {bias}{_line(program, holder.name)}"
            )


def check_derived_names(where: str, program: Program) -> None:
    """Raise for an argument that is called as the gradient of another tensor will be."""
    for tensor in [x for x in program.tensors.values() if x.role not in TARGETS]:
        seeds = (f"seed_{tensor.name}",) if tensor.name in program.outputs else ()
        for name in (f"d_{tensor.name}", *seeds):
            if (other := program.tensors.get(name)) is None:
                continue
            which = f" (of {other.family}[{other.member}])" if other.family else ""
            raise DeriveError(
                f"{where}: the name {name}{which} is taken, by the gradient of {tensor.name}; rename the argument "
                f"{other.family or name}{_line(program, name)}"
            )


def check_loss(where: str, program: Program) -> None:
    """Raise for a number that is no sum over time, and for a target with a size that the prediction does not have."""
    last = program.equations[-1]
    for term in ir.terms(sp.expand_mul(last.rhs, deep=False)):
        total = term.as_independent(sp.Sum)[1]
        if not _is_over_time(total):
            raise DeriveError(
                f"{where}: in the equation of {last.target}, {ir.text(term)} is no sum over time; a loss adds up one number a "
                f"step, {last.target}[()] = Sum(l[t], t), where l[t] = ... may be any function{_line(program, last.target)}"
            )
    prediction = program.tensors[program.facts.inputs[0]]
    for target in program.of_role("target"):
        if not set(target.dims) <= set(prediction.dims):
            raise DeriveError(
                f"{where}: {target.at()} has the size {', '.join(map(str, target.dims))}, and the prediction "
                f"{', '.join(map(str, prediction.dims))}; what a loss reads beside the prediction has its sizes, or none: "
                f"{target.name}[t, n] and {prediction.name}[t, n] under one index{_line(program, target.name)}"
            )
    in_normal_form(where, per_step(program))
