"""Every check of what a caller passes, with its message. The fast paths of cell.py come here when something is unusual.

Nothing here writes to an argument.
"""

from __future__ import annotations

import difflib
import operator
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.errors import ArgumentError, ArgumentTypeError, DtypeError, ShapeError
from ..core.spec import Shape, Spec, show
from .arrays import Array, as_array, compact, overlap, require_shape


def check_threads(where: str, threads: object) -> None:
    """`threads` is None or an integer of at least 1."""
    if threads is None:
        return
    try:
        count = operator.index(threads)  # type: ignore[arg-type]
    except TypeError:
        count = None
    if count is None or isinstance(threads, (bool, np.bool_)):
        raise ArgumentTypeError(f"{where}: threads must be None or an integer, found {threads!r}")
    if count < 1:
        raise ArgumentError(f"{where}: threads must be at least 1, found {count}; None means as many as pay off")


def check_wrt(where: str, spec: Spec, wrt: object) -> frozenset[str]:
    """The names of the gradients that `wrt` asks for: inputs, parameters, initial states; "params" is all parameters."""
    states = [f"{state}0" for state in spec.states]
    names = (*spec.inputs, "params", *spec.params, *states)
    given: list[object] = [wrt] if isinstance(wrt, str) else list(wrt) if isinstance(wrt, Iterable) else [wrt]
    wanted: set[str] = set()
    for name in given:
        if not isinstance(name, str):
            raise ArgumentTypeError(f"{where}: wrt must be None or names out of {', '.join(names)}, found {name!r}")
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            hint = f" (did you mean {near[0]!r}?)" if near else ""
            raise ArgumentError(f"{where}: wrt has {name!r}{hint}; the gradients of {spec.name} are {', '.join(names)}")
        wanted |= set(spec.params) if name == "params" else {name}
    if not wanted:
        raise ArgumentError(f"{where}: wrt is empty; name at least one of {', '.join(names)}, or pass None for all")
    return frozenset(wanted)


def check_tape(where: str, tape: object, steps: int, everything: int) -> int:
    """`tape` as tape_every in C: None is 0, "recompute" is `everything`, and a number of steps is itself, T at most."""
    if tape is None:
        return 0
    if isinstance(tape, str) and tape == "recompute":
        return everything
    try:
        every = operator.index(tape)  # type: ignore[arg-type]
    except TypeError:
        every = None
    wanted = 'None, "recompute", or a number of steps between saved states'
    if every is None or isinstance(tape, (bool, np.bool_)):
        raise (ArgumentError if isinstance(tape, str) else ArgumentTypeError)(
            f"{where}: tape must be {wanted}, found {tape!r}"
        )
    if every < 1:
        raise ArgumentError(f"{where}: tape must be {wanted}, at least 1; found {every}")
    return min(every, steps)


def check_lengths(where: str, lengths: object, steps: int, batch: int, unbatched: bool) -> NDArray[np.intp]:
    """The length of every sequence, (B,); without a batch axis one integer, as a number or in an array of one."""
    expected = "an integer" if unbatched else "an integer array (B,)"
    plain = isinstance(lengths, (int, np.integer)) and not isinstance(lengths, bool)
    if not (isinstance(lengths, (np.ndarray, list, tuple)) or (plain and unbatched)):
        raise ArgumentTypeError(f"{where}: lengths must be None or {expected}, found {type(lengths).__name__}")
    if isinstance(lengths, np.ma.MaskedArray):
        raise ArgumentTypeError(
            f"{where}: lengths is a masked array, and the mask would be lost; pass lengths.filled(...)"
        )
    try:
        array = np.asarray(lengths)
    except ValueError:  # lists of different lengths in a list
        raise ArgumentTypeError(f"{where}: lengths must be {expected}, found {lengths!r}") from None
    if array.size == 0 and isinstance(lengths, (list, tuple)):
        array = array.astype(np.intp)
    if array.dtype.kind not in "iu":
        raise DtypeError(f"{where}: lengths must be integers, found {array.dtype}; convert it with .astype(np.int64)")
    if unbatched and array.shape == ():
        array = array.reshape(1)
    if array.shape != (batch,):
        symbolic = "() or (1,)" if unbatched else f"(B,) = ({batch},)"
        raise ShapeError(f"{where}: lengths must have shape {symbolic}, found {show(array.shape)}")
    bad = np.flatnonzero((array < 1) | (array > steps))
    if bad.size:
        at = "lengths" if unbatched else f"lengths[{bad[0]}]"
        raise ArgumentError(f"{where}: {at} must be between 1 and T={steps}, found {array[bad[0]]}")
    return array.astype(np.intp)


def check_size(where: str, name: str, value: object, least: int = 1) -> int:
    """`value` as the size of a dimension, an integer of at least `least`."""
    try:
        size = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        size = None
    if size is None or isinstance(value, (bool, np.bool_)):
        raise ArgumentTypeError(f"{where}: {name} must be an integer, found {value!r}")
    if size < least:
        raise ArgumentError(f"{where}: {name} must be at least {least}, found {size}")
    return size


def check_dtype(where: str, dtype: Any) -> np.dtype[Any]:
    """`dtype` as a NumPy dtype: float32 or float64."""
    try:
        found: np.dtype[Any] = np.dtype(dtype)
    except TypeError:
        raise DtypeError(f"{where}: dtype must be np.float32 or np.float64, found {dtype!r}") from None
    if dtype is None or found not in (np.float32, np.float64):
        raise DtypeError(f"{where}: dtype must be np.float32 or np.float64, found {dtype!r}")
    return found


def check_names(where: str, spec: Spec, more: Mapping[str, object], options: Iterable[str]) -> None:
    """Every input of the cell but the first is among the keywords, and nothing else; `options` are the other keywords."""
    first, *others = spec.inputs
    for name in more:
        if name not in others:
            near = difflib.get_close_matches(name, [*others, *options], n=1)
            hint = f" (did you mean {near[0]!r}?)" if near else ""
            if name == first:
                hint = ", which is its first argument and has no keyword"
            inputs = f"{first} first, then by keyword {', '.join(others)}" if others else f"{first} alone"
            raise ArgumentTypeError(
                f"{where}: unexpected keyword argument {name!r}{hint}; {spec.name} reads the inputs {inputs}"
            )
    if missing := [name for name in others if name not in more]:
        said = ", ".join(f"{name}={name}" for name in missing)
        raise ArgumentTypeError(
            f"{where}: missing {', '.join(missing)}; {spec.name} reads {len(spec.inputs)} inputs, {first} as its first "
            f"argument and the others by keyword: {where}(..., {said})"
        )


def check_inputs(where: str, spec: Spec, x: object, more: Mapping[str, object]) -> list[Array]:
    """The inputs in the order of the cell: (T, ...) or (T, B, ...) with at least one step, and the others with as many.

    `more` are those after the first, by name; `check_names` has seen them.
    """
    (first, row), *others = spec.inputs.items()
    array = as_array(x, where, first, None)
    ranks = one, many = len(row) + 1, len(row) + 2
    if array.ndim not in ranks:
        raise ShapeError(
            f"{where}: {first} must be {one}D {show(('T', *row))} or {many}D {show(('T', 'B', *row))}, "
            f"found {array.ndim}D: {show(array.shape)}"
        )
    if array.shape[0] == 0:
        raise ShapeError(f"{where}: {first} must have at least one step, found T=0 in shape {show(array.shape)}")
    arrays = [array]
    axes = ("T",) if array.ndim == one else ("T", "B")
    lead = array.shape[: len(axes)]
    for name, own in others:
        further = as_array(more[name], where, name, array.dtype, first)
        if further.ndim != len(lead) + len(own) or further.shape[: len(lead)] != lead:
            raise ShapeError(
                f"{where}: {name} must have shape {show((*axes, *own))} with {show(axes)} = {show(lead)} as {first} has, "
                f"found {show(further.shape)}"
            )
        arrays.append(further)
    return arrays


def check_params(where: str, spec: Spec, params: object, dtype: np.dtype[Any] | None, like: str) -> list[Array]:
    """The parameters in the order of the cell, each with the right kind, dtype and rank.

    dtype: that of `like`; None: the first parameter decides.
    """
    if not isinstance(params, Mapping):
        raise ArgumentTypeError(
            f"{where}: params must be a dict with {', '.join(spec.params)}, found {type(params).__name__}; "
            f"{spec.name}.init_params makes one"
        )
    problems = []
    if missing := [name for name in spec.params if name not in params]:
        problems.append("missing " + ", ".join(missing))
    for name in params:
        if name not in spec.params:
            near = difflib.get_close_matches(str(name), spec.params, n=1)
            problems.append(f"unexpected {name!r}" + (f" (did you mean {near[0]!r}?)" if near else ""))
    if problems:
        raise ArgumentError(f"{where}: params: {'; '.join(problems)}; {spec.name} has {', '.join(spec.params)}")
    if dtype is None:
        like = f"params[{next(iter(spec.params))!r}]"
        dtype = as_array(params[next(iter(spec.params))], where, like, None).dtype
    arrays = [as_array(params[name], where, f"params[{name!r}]", dtype, like) for name in spec.params]
    for (name, shape), array in zip(spec.params.items(), arrays, strict=True):
        if array.ndim != len(shape):
            raise ShapeError(
                f"{where}: params[{name!r}] must be {len(shape)}D with shape {show(shape)}, "
                f"found {array.ndim}D: {show(array.shape)}"
            )
    return arrays


def check_dims(
    where: str,
    spec: Spec,
    inputs: Mapping[str, Shape],
    params: Sequence[Array],
    dims: Mapping[str, int] | None = None,
) -> Mapping[str, int]:
    """The size of each dimension; the parameters agree with one another and `inputs`, shapes by name, with them.

    dims: the sizes if known.
    """
    if dims is None:
        rows = {name: shape[len(shape) - len(spec.inputs[name]) :] for name, shape in inputs.items()}
        dims = spec.solve(dict(zip(spec.params, (array.shape for array in params), strict=True)), rows)
    for (name, shape), array in zip(spec.params.items(), params, strict=True):
        require_shape(array, where, f"params[{name!r}]", show(shape), tuple(axis.size(dims) for axis in shape))
    for dim, size in dims.items():
        if size == 0:
            raise ShapeError(f"{where}: {spec.dims[dim]} must be at least 1, found 0")
    for name, found in inputs.items():
        row = spec.inputs[name]
        for axis, (_, dim) in enumerate(row, -len(row)):
            if found[axis] != dims[dim]:
                raise ShapeError(
                    f"{where}: {name}.shape[{axis}] must be equal to {spec.dims[dim]}. Expected {dims[dim]} "
                    f"(from {spec.source(dim)}), got {found[axis]} in shape {show(found)}"
                )
    return dims


def check_state(
    where: str,
    argument: str,
    spec: Spec,
    state: object,
    dtype: np.dtype[Any],
    shapes: Sequence[Shape],
    unbatched: bool,
) -> list[Array | None]:
    """One entry per state of the cell, None for zeros. Where x has no batch axis, (1, H) passes for (H,)."""
    names = tuple(spec.states)
    if state is None:
        return [None] * len(names)
    if isinstance(state, np.ndarray) and len(names) == 1:
        state = (state,)
    wanted = f"a tuple {show(names)}"
    if not isinstance(state, (tuple, list)):
        raise ArgumentTypeError(f"{where}: {argument} must be None or {wanted}, found {type(state).__name__}")
    if len(state) != len(names):
        raise ArgumentError(f"{where}: {argument} must be {wanted} of {len(names)}, found {len(state)} entries")
    arrays: list[Array | None] = []
    for k, ((name, row), value, shape) in enumerate(zip(spec.states.items(), state, shapes, strict=True)):
        if value is None:
            arrays.append(None)
            continue
        label = f"{argument}[{k}] ({name})"
        array = as_array(value, where, label, dtype, next(iter(spec.inputs)))
        if unbatched:
            if array.shape != (1, *shape):
                require_shape(array, where, label, f"{show(row)} or {show((1, *row))}", shape)
            array = array.reshape(shape)
        else:
            require_shape(array, where, label, show(("B", *row)), shape)
        arrays.append(array)
    return arrays


def check_sequence(
    where: str, name: str, value: object, dtype: np.dtype[Any], axes: Sequence[object], shape: Shape, like: str
) -> Array:
    """An array over time, such as y or d_out, of exactly `shape`, ready for C. `axes` are their names; `like` has the dtype."""
    array = as_array(value, where, name, dtype, like)
    require_shape(array, where, name, show(axes), shape)
    return compact(array, where, name)


def check_out(
    where: str, out: object, dtype: np.dtype[Any], axes: Sequence[object], shape: Shape, inputs: Mapping[str, Array]
) -> Array:
    """`out` can take the result as it is and shares no memory with what the call reads, `inputs` by their names."""
    array = as_array(out, where, "out", dtype, next(iter(inputs)))
    require_shape(array, where, "out", show(axes), shape)
    if not array.flags.c_contiguous or not array.flags.aligned:
        raise ArgumentError(
            f"{where}: out must be C-contiguous and aligned; allocate it with np.empty, or leave it away"
        )
    if not array.flags.writeable:
        raise ArgumentError(f"{where}: out is read-only; pass a writeable array, or leave it away")
    for name, array_in in inputs.items():
        if overlap(array, array_in):
            raise ArgumentError(f"{where}: out overlaps {name}, which the call still reads; pass memory of its own")
    return array
