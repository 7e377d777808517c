"""From a model to one header and one C file, by templates/plain/."""

from __future__ import annotations

import re
from collections.abc import Mapping

from derive import ir, rendering
from derive.backends.plain.addresses import arrays, spelled, width
from derive.backends.plain.kernel import Kernel
from derive.backends.shared.printer import F32, F64
from derive.errors import DeriveError
from derive.ir import functions
from derive.passes.storage import Place
from derive.pipeline import Model

REALS = {r.c: r for r in (F32, F64)}
NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
KERNELS = ("forward", "loss", "backward")


def files(model: Model, sizes: Mapping[str, int], T: int = 1, real: str = "float", name: str = "") -> dict[str, str]:
    """NAME.h and NAME.c, by their names, for one sequence at a time.

    `sizes` has a number for every size of the cell, such as {"I": 1, "H": 16}; `T` is the largest number of steps of a call
    that trains; `real` is "float" or "double"; `name` is that of the cell if it is empty.  Raises DeriveError for sizes
    that are missing, unknown or not positive, and for other types and names.
    """
    name = name or model.name
    _check(model, sizes, T, real, name)
    prefix = name.upper()
    made = {k.name: k for k in model.kernels}
    where, scalar = arrays(model), REALS[real]
    kernels = [Kernel(made["infer"], where, scalar, single=True)]
    kernels += [Kernel(made[k], where, scalar) for k in KERNELS]
    meta = model.meta

    def macros(text: str) -> str:
        """A size as the header spells it, with macros."""
        return re.sub(r"[A-Za-z_]\w*", lambda found: f"{prefix}_{found[0]}", text)

    values = {
        "model": model,
        "name": name,
        "NAME": prefix,
        "real": scalar,
        "sizes": sizes,
        "T": T,
        "kernels": {k.name: k for k in kernels},
        "params": {p: macros(" * ".join(_factor(d) for d in shape)) for p, shape in meta["params"].items()},
        "states": {spelled(s): macros(d) for s, d in meta["states"].items()},
        "tape": {a: macros(w) for a, w in _tape(model).items()},
        "macros": macros,
        "widths": {"x": meta["input"][1], "out": meta["output"][1], "y": meta["target"][1]},
        "largest": max(meta["states"].values(), key=lambda d: sizes[d], default="1"),
        "text": lambda expr: ir.text(expr, ascii=True),
    }
    body = rendering.render("plain/kernels.c.j2", **values)
    functions_of = _functions(body)
    source = rendering.render(
        "plain/source.c.j2",
        body=body,
        calls=functions_of,
        records=[r for r in functions.RECORDS if not r.vector],
        polynomial=functions.exponential(scalar.dtype),
        zeros="nothing" in re.findall(r"\w+", body),
        **values,
    )
    return {f"{name}.h": rendering.render("plain/header.h.j2", **values), f"{name}.c": source}


def _check(model: Model, sizes: Mapping[str, int], T: int, real: str, name: str) -> None:
    dims = list(model.meta["dims"])
    wanted = (
        f"{model.name} has the sizes {', '.join(dims)}; give each a positive number, as in sizes={{{dims[0]!r}: 4}}"
    )
    for dim in dims:
        if dim not in sizes:
            raise DeriveError(f"the size {dim} is missing: {wanted}")
    for dim, number in sizes.items():
        if dim not in dims:
            raise DeriveError(f"there is no size {dim}: {wanted}")
        if isinstance(number, bool) or not isinstance(number, int) or number < 1:
            raise DeriveError(f"the size {dim} is {number!r}: {wanted}")
    if isinstance(T, bool) or not isinstance(T, int) or T < 1:
        raise DeriveError(f"T is {T!r}: give the largest number of steps of a call that trains, 1 or more")
    if real not in REALS:
        raise DeriveError(f"there is no type {real!r}: real is one of {', '.join(map(repr, REALS))}")
    if not NAME.fullmatch(name):
        raise DeriveError(f"{name!r} is no name of C: functions are called NAME_step, NAME_forward and so on")


def _tape(model: Model) -> dict[str, str]:
    """The regions of the tape, each with the width of a row."""
    regions: dict[str, Place] = {p.array: p for p in model.tape.values()}
    return {array: width(place) for array, place in regions.items()}


def _factor(text: str) -> str:
    """4*H -> 4 * H."""
    return " * ".join(text.split("*"))


NEEDS = {"exp": ("reduce",), "sigmoid": ("reduce",), "tanh": ("reduce",), "signum": ("step",)}


def _functions(body: str) -> set[str]:
    """The functions that the kernels call, with those that these call."""
    found = set(re.findall(r"\bscalar_(\w+)\(", body))
    return found | {n for f in found for n in NEEDS.get(f, ())}
