"""From a model or a routine to one header and one C file, by templates/plain/."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from math import prod
from typing import Any

from derive import rendering
from derive.backends.plain.addresses import arrays, arrays_of_routine, spelled, width
from derive.backends.plain.kernel import Kernel
from derive.backends.shared.printer import F32, F64, Real
from derive.errors import DeriveError
from derive.ir import functions
from derive.passes.storage import Place
from derive.pipeline import Model, Routine

REALS = {r.c: r for r in (F32, F64)}
NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
KERNELS = ("forward", "loss", "backward")
# Members of the struct of arguments, and arguments of `step`, that are no arrays with time.
OWN = ("weights", "state", "first", "last", "steps", "tape", "loss", "d_weights", "d_first", "d_last", "args", "t")


def files(
    model: Model | Routine, sizes: Mapping[str, int], T: int = 1, real: str = "float", name: str = ""
) -> dict[str, str]:
    """NAME.h and NAME.c, by their names, for one sequence at a time.

    `sizes` has a number for every size, such as {"I": 1, "H": 16}; `T` is the largest number of steps of a call that trains,
    or of a routine; `real` is "float" or "double"; `name` is that of the cell if it is empty.  Raises DeriveError for sizes
    that are missing, unknown or not positive, and for other types and names.
    """
    name = name or model.name
    _check(model, sizes, T, real, name)
    prefix, scalar = name.upper(), REALS[real]
    kind = "cell" if isinstance(model, Model) else "routine"

    def macros(text: str) -> str:
        """A size as the header spells it, with macros."""
        return re.sub(r"[A-Za-z_]\w*", lambda found: f"{prefix}_{found[0]}", text)

    values = {
        "name": name,
        "NAME": prefix,
        "real": scalar,
        "sizes": sizes,
        "T": T,
        "tape": {a: macros(w) for a, w in _tape(model).items()},
        "macros": macros,
        **(_of_cell(model, sizes, scalar, macros) if isinstance(model, Model) else _of_routine(model, scalar)),
    }
    body = rendering.render("plain/kernels.c.j2", **values)
    source = rendering.render(
        f"plain/{kind}.c.j2",
        body=body,
        calls=_functions(body),
        library=LIBRARY,
        **functions.polynomials_of(scalar.dtype),
        zeros="nothing" in re.findall(r"\w+", body),
        **values,
    )
    return {f"{name}.h": rendering.render(f"plain/{kind}.h.j2", **values), f"{name}.c": source}


def _of_cell(model: Model, sizes: Mapping[str, int], real: Real, macros: Callable[[str], str]) -> dict[str, Any]:
    """What the templates of a cell show."""
    made, where, meta = {k.name: k for k in model.kernels}, arrays(model), model.meta
    kernels = [Kernel(made["infer"], where, real, single=True), *(Kernel(made[k], where, real) for k in KERNELS)]
    return {
        "title": model.title,
        "gates": meta["gates"],
        "kernels": {k.name: k for k in kernels},
        "params": {p: macros(" * ".join("*".join(shape).split("*")) or "1") for p, shape in meta["params"].items()},
        "states": {spelled(s): macros(d) for s, d in meta["states"].items()},
        "inputs": meta["inputs"],
        "widths": {"out": meta["output"][1]},
        "targets": model.signature.targets,
        "largest": max(
            meta["states"].values(), key=lambda d: prod(sizes.get(x, 1) for x in d.split(" * ")), default="1"
        ),
    }


def _of_routine(made: Routine, real: Real) -> dict[str, Any]:
    """What the templates of a routine show."""
    where, program = arrays_of_routine(made), made.program
    shapes = {
        p.array: (program.tensors[n].shape.replace("B, ", ""), n in program.inputs) for n, p in made.arguments.items()
    }
    kernels = [Kernel(k, where, real) for k in made.kernels]
    return {"title": program.name, "kernels": {k.name: k for k in kernels}, "arguments": shapes}


def _check(model: Model | Routine, sizes: Mapping[str, int], T: int, real: str, name: str) -> None:
    dims = list(model.meta["dims"] if isinstance(model, Model) else model.dims)
    example = f"give each a positive number, as in sizes={{{dims[0]!r}: 4}}" if dims else "give none: sizes={}"
    wanted = f"{model.name} has {'the sizes ' + ', '.join(dims) if dims else 'no sizes'}; {example}"
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
    meta = model.meta if isinstance(model, Model) else {"inputs": {}, "targets": {}}
    for own in (*meta["inputs"], *meta["targets"]):
        if own in OWN:
            what = "an input" if own in meta["inputs"] else "an argument of the loss"
            raise DeriveError(f"{model.name}: the C has another use for the name {own} of {what}; rename it")
    if not NAME.fullmatch(name):
        raise DeriveError(f"{name!r} is no name of C: functions are called NAME_step, NAME_forward and so on")


def _tape(model: Model | Routine) -> dict[str, str]:
    """The regions of the tape, each with the width of a row."""
    regions: dict[str, Place] = {p.array: p for p in model.tape.values()}
    return {array: width(place) for array, place in regions.items()}


# What the C library has, by its names; and what the functions of templates/plain/math.h.j2 call.
LIBRARY = ("sin", "cos", "log", "atan", "erf", "expm1", "floor")
NEEDS = {
    "exp": ("reduce",),
    "sigmoid": ("reduce",),
    "tanh": ("reduce",),
    "normal_cdf": ("reduce",),
    "signum": ("step",),
    "clip": ("maximum", "minimum"),
}


def _functions(body: str) -> set[str]:
    """The functions that the kernels call, with those that these call."""
    found = set(re.findall(r"\bscalar_(\w+)\(", body))
    return found | {n for f in found for n in NEEDS.get(f, ())}
