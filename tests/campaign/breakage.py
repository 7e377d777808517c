"""Mistakes made on purpose, in the derived equations or in the emitted C, to see that `validate` finds them."""

from __future__ import annotations

import random
import re
from contextlib import contextmanager
from dataclasses import replace

import sympy as sp
from sympy.tensor.indexed import Indexed, IndexedBase

from derive import ir
from derive import pipeline as model
from derive.ir import T, t

# What is taken for what, in the C of the kernels: signs, times, buffers, sizes, factors, statements.
EDITS = (
    (r" \+ (?=[a-zA-Z(])", " - "),
    (r" - (?=[a-zA-Z(])", " + "),
    (r"\bt - 1\b", "t"),
    (r"\bt \+ 1\b", "t"),
    (r"\(t & 1\)", "((t - 1) & 1)"),
    (r"\bfirst\b(?= <= T)", "first + 1"),
    (r"\b0\.5\b", "0.25"),
    (r"\b2\.0\b", "1.0"),
    (r"vec_square\(", "("),
    (r"vec_tanh\(", "vec_sigmoid("),
    (r"vec_fused\(([^,()]+), ([^,()]+), ", r"vec_fused(\1, \1, "),
    (r"\+= sum\(", "= sum("),
    (r"^ +store\(.*;.*$", ""),
    (r"^ +at\.\w+ = .*;$", ""),
    (r"^ +gemm\(.*;$", ""),
    (r"^ +memcpy\(.*;$", ""),
    (r"\blanes\b(?=\);)", "V"),
    (r", 1\);$", ", 0);"),
    (r", 0\);$", ", 1);"),
)


@contextmanager
def broken(level: str, number: int):
    """(what to do to the files, a function that says what was changed); `level` is "C", "workspace" or "equations".

    "workspace" moves buffers of the workspace before its beginning, which only sanitizers and guard pages can see.
    """
    rng = random.Random(f"{level} {number}")
    said: list[str] = []
    kept = model.RULES
    if level == "equations":

        def mistake(program):
            return _mistaken(program, rng, said)

        model.RULES = (*kept, mistake)
    try:
        edits = {"C": lambda made: _edited(made, rng, said), "workspace": _moved}
        yield edits.get(level, lambda made: made), lambda: "; ".join(said)
    finally:
        model.RULES = kept


def _moved(made):
    return {n: text.replace("(p ? p + w->bytes : p)", "(p ? p - w->bytes - 64 : p)") for n, text in made.items()}


def _edited(made, rng, said):
    name = next(n for n in made if n.endswith("_kernels.h"))
    head, _, body = made[name].partition("/* ==== infer")
    lines, places = body.split("\n"), []
    for k, line in enumerate(lines):
        if line.lstrip().startswith(("/*", "*", "const int", "w->bytes", "return (real)", "struct", "(void)")):
            continue
        code = line.split("/*")[0]
        places += [(k, m.start(), edit) for edit in EDITS for m in re.finditer(edit[0], code)]
    kinds = sorted({edit[0] for _, _, edit in places})
    kind = rng.choice(kinds)  # each kind as often as another
    k, start, (pattern, new) = rng.choice([p for p in places if p[2][0] == kind])
    old = lines[k]
    lines[k] = old[:start] + re.sub(pattern, new, old[start:], count=1)
    kernel = next(
        (m.group(1) for line in reversed(lines[:k]) if (m := re.search(r"==== (\w+) =|/\* (\w+)[:,]", line))), ""
    )
    said.append(f"{kernel}: {old.strip()[:110]} -> {lines[k].strip()[:110]}")
    return {**made, name: f"{head}/* ==== infer" + "\n".join(lines)}


def _mistaken(program, rng, said):
    """The simplified adjoint with a mistake in one equation."""
    if said:
        return program
    choices = [(e, *change) for e in program.equations for change in _changes(program, e)]
    equation, what, rhs = rng.choice(choices)
    said.append(f"{equation.id} {what}: {ir.text(equation.rhs)} -> {ir.text(rhs)}"[:200])
    return program.with_equations([replace(e, rhs=rhs) if e is equation else e for e in program.equations])


def _changes(program, equation):
    """A term dropped, turned, scaled, or read one step off."""
    terms = ir.terms(equation.rhs)
    for p, term in enumerate(terms):
        others = terms[:p] + terms[p + 1 :]
        if others:
            yield "drop", sp.Add(*others)
        yield "sign", sp.Add(*others, -term)
        yield "scale", sp.Add(*others, term / 2)
        for access in ir.accesses(term, program.tensors):
            when = ir.time_of(access, program.tensors)
            to = {t + 1: t, t - 1: t, T: T - 1}.get(when)
            if to is not None and isinstance(access, Indexed) and ir.name_of(access) != equation.target:
                moved = IndexedBase(ir.name_of(access))[(to, *access.indices[1:])]
                yield "time", sp.Add(*others, term.xreplace({access: moved}))
