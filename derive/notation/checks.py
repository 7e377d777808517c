"""What a person can get wrong in a cell file, found before it becomes an error of SymPy or of a later pass.

The function and its decorator, what is assigned and what is read are checked here; formulas.py checks what stands in a
formula, sizes.py finds contradictions between indices, public.py between names.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sympy as sp
from sympy.tensor.indexed import Indexed
from sympy.utilities.iterables import strongly_connected_components

from derive import ir
from derive.errors import DeriveError
from derive.ir import Tensor, t
from derive.notation.lines import Line
from derive.notation.writer import Writer


def check_function(kind: str, function: Any) -> None:
    """Raise for what is no function with a name and arguments: a class, a lambda, a builtin."""
    name = getattr(function, "__name__", type(function).__name__)
    if not inspect.isfunction(function):
        raise DeriveError(
            f"{kind} {name}: @{kind} stands above a function, def {name}(x, h, W): ..., found {type(function).__name__}"
        )
    if not name.isidentifier():
        raise DeriveError(f"{kind} {name.strip('<>')}: a lambda has no name; write def name(x, h, W): ...")


def check_names(where: str, arguments: Sequence[str], names: Sequence[str]) -> None:
    """Raise for a name in the decorator that is no argument of the function."""
    for unknown in [name for name in names if name not in arguments]:
        raise DeriveError(
            f"{where}: {unknown!r} in the decorator is no argument of the function ({', '.join(arguments)})"
        )


def check_arguments(
    where: str, function: Callable[..., None], states: list[str], gates: list[str], inputs: list[str]
) -> None:
    """Raise for an argument that is no plain name or has a meaning of its own, and for names that stand twice."""
    for argument in inspect.signature(function).parameters.values():
        if argument.default is not argument.empty or argument.kind is not argument.POSITIONAL_OR_KEYWORD:
            raise DeriveError(
                f"{where}: the argument {argument} is no plain name; arguments are tensors, and a constant is "
                f"set above the function"
            )
        if argument.name in ("t", "T", "B", "row"):
            raise DeriveError(f"{where}: {argument.name} has a meaning of its own in equations; rename the argument")
    for both in [name for name in states if name in gates]:
        raise DeriveError(
            f"{where}: {both} is a state and a gate in the decorator; a gate that is read at t-1 is kept in a state of its own, "
            f"{both}_[t, n] = {both}[t, n]"
        )
    for both in [name for name in inputs if name in states or name in gates]:
        raise DeriveError(
            f"{where}: {both} is an input and a {'state' if both in states else 'gate'} in the decorator; equations "
            f"define states and gates, and a caller gives inputs"
        )
    for twice in [name for p, name in enumerate(states) if name in states[:p]]:
        raise DeriveError(f"{where}: {twice} stands twice in the decorator")
    for twice in [name for p, name in enumerate(gates) if name in gates[:p]]:
        raise DeriveError(f"{where}: {twice} stands twice in gates; each gate has one place in the stacked arrays")


def check_written(writer: Writer, arguments: Sequence[str]) -> None:
    """Raise where there is no equation, an argument is not used, or a tensor is assigned twice."""
    where = writer.where
    if not writer.equations:
        raise DeriveError(f"{where}: the function writes no equation; write h[t, n] = ...")
    for unused in [a for a in arguments if a not in writer.used]:
        raise DeriveError(f"{where}: the argument {unused} is never used; remove it or use it")
    standing = {str(s) for equation in writer.equations for side in equation for s in side.free_symbols}
    for gone in sorted(writer.accessed - standing):
        item = writer.names[gone]
        name = f"{item.family}[{item.member}]" if item.family else gone
        raise DeriveError(
            f"{where}: {name} is read, and stands in no equation: it cancels, or is lost; remove it or use it"
        )
    assigned = {ir.name_of(lhs) for lhs, _ in writer.equations}
    for name in writer.fresh:
        if not {name, *(str(x) for x in writer.names.values() if x.family == name)} & assigned:
            raise DeriveError(
                f"{where}: the value {name} is never assigned; write {name}[t, n] = ... behind value({name!r})"
            )
    seen: dict[str, int] = {}
    for p, (lhs, rhs) in enumerate(writer.equations):
        name = ir.name_of(lhs)
        if any(not s.free_symbols for s in getattr(lhs, "indices", ())):
            continue  # h[0, n] = ...: sizes.py says that initial states come by themselves
        if name in seen:
            add = f"; += is no equation, write one sum: {lhs} = ... + ..." if rhs.has(lhs) else ""
            what = (
                f"{lhs} is assigned twice; give one of the two a new name"
                if lhs == writer.equations[seen[name]][0]
                else f"{name} is defined twice for t = 1..T; give one equation a new name"
            )
            raise writer.mistake(p, f"{what} (the first stands on line {writer.lines[seen[name]].number}){add}")
        seen[name] = p


def check_gates(writer: Writer, gates: Sequence[str], timed: Mapping[str, bool]) -> None:
    """Raise for a gate that families have and the decorator does not list, and for one that no equation defines."""
    names = writer.names.values()
    for item in names if gates else ():
        if item.member and item.member not in gates:
            raise DeriveError(
                f"{writer.where}: {item.family}[{item.member}] is of a gate that the decorator does not list; write "
                f'gates="{" ".join([*gates, item.member])}" (their order is that of the stacked arrays), or make it a '
                f"tensor of its own, {item.family}_{item.member}{reader_of(writer, str(item))}"
            )
    assigned = {ir.name_of(lhs) for lhs, _ in writer.equations}
    for gate in gates:
        if gate not in assigned and timed.get(gate):
            raise DeriveError(
                f"{writer.where}: the gate {gate} is read, and never assigned; write {gate}[t, n] = ...{reader_of(writer, gate)}"
            )


def check_states(where: str, states: Sequence[str], writer: Writer, tensors: Mapping[str, Tensor]) -> None:
    """Raise for a state that no equation defines, or that has no time."""
    assigned = {ir.name_of(lhs): p for p, (lhs, _) in enumerate(writer.equations)}
    for state in states:
        if state not in assigned:
            raise DeriveError(f"{where}: the state {state} is never assigned; write {state}[t, n] = ...")
        if tensors[state].time is None:
            raise writer.mistake(assigned[state], f"the state {state} has no time index; write {state}[t, n] = ...")


def check_times(writer: Writer, states: Sequence[str], tensors: dict[str, Tensor]) -> None:
    """Raise for a sum over time in a cell, and for a value that is read at a time at which it cannot be read."""
    for p, (lhs, rhs) in enumerate(writer.equations):
        if states and any(limit[0] == t for total in rhs.atoms(sp.Sum) for limit in total.limits):
            raise writer.mistake(
                p,
                f"{lhs} sums over time, but a cell goes through it step by step; a sum over time belongs into a loss",
            )
        for access in ir.accesses(rhs, tensors):
            when = ir.time_of(access, tensors)
            by = ir.offset(when)
            name = ir.name_of(access)
            if when is None:
                continue
            if by not in (0, -1):
                past = by is not None and by < -1
                keep = f"{name}[t - 1, ...]" if by == -2 else "..."
                how = f"; a state of its own keeps older values: p[t, n] = {keep}, read as p[t - 1, n]" if past else ""
                raise writer.mistake(p, f"{access} is read at time {when}; only t and t-1 can be read{how}")
            if by == -1 and name not in states:
                how = f'name it in states="{" ".join([*states, name])}" or '
                if tensors[name].role == "input":
                    how = f"keep it in a state, p[t, n] = {name}[t, n], and read p[t - 1, n], or "
                how = how if states else "a head and a loss keep nothing from step to step; "
                raise writer.mistake(
                    p,
                    f"{access} is read at t-1 but {name} is no state, so it has no value at t = 0; {how}read {name}[t, ...]",
                )


def check_order(writer: Writer, states: Sequence[str], tensors: dict[str, Tensor]) -> None:
    """Raise for tensors that need each other at the same time step: most often h[t] where h[t-1] is meant."""
    where = {ir.name_of(lhs): p for p, (lhs, _) in enumerate(writer.equations)}
    edges: dict[tuple[str, str], sp.Expr] = {}
    for lhs, rhs in writer.equations:
        for access in ir.accesses(rhs, tensors):
            when = ir.time_of(access, tensors)
            if ir.name_of(access) in where and (when is None or ir.offset(when) == 0):
                edges.setdefault((ir.name_of(lhs), ir.name_of(access)), access)
    for component in strongly_connected_components((list(where), list(edges))):
        inside = sorted(component, key=lambda name: where[name])
        forward = [
            (a, b) for (a, b) in edges if a in component and b in component and where[a] <= where[b]
        ]  # reads of what is written on the same line or further down
        if not forward:
            continue
        reader, read = min(forward, key=lambda edge: (edge[1] not in states, where[edge[0]]))
        access = edges[reader, read]
        names = f"{', '.join(inside)} depend on each other" if len(inside) > 1 else f"{inside[0]} depends on itself"
        before = access.subs(t, t - 1) if isinstance(access, Indexed) else access
        how = (
            f"write {before} for its value of the step before"
            if read in states
            else "only a state can be read at the step before: name one of them in states=... and read it at t - 1"
        )
        raise writer.mistake(where[reader], f"{access} is read, and {names} at the same time step; {how}")


def lines_of(writer: Writer) -> dict[str, Line]:
    """Where each tensor is defined, or read first: later passes say so in their messages."""
    found = {ir.name_of(lhs): writer.lines[p] for p, (lhs, _) in enumerate(writer.equations)}
    for name in writer.names:
        p = _first_use(writer, name) if name not in found else None
        found |= {name: writer.lines[p]} if p is not None else {}
    return found


def _rank(writer: Writer, name: str, message: str) -> DeriveError:
    p = _first_use(writer, name)
    return writer.mistake(p, message) if p is not None else DeriveError(f"{writer.where}: {message}")


def reader_of(writer: Writer, name: str) -> str:
    """The line that reads or defines a tensor first, to stand behind a message."""
    p = _first_use(writer, name)
    return f"\n  {writer.lines[p]}" if p is not None else ""


def _first_use(writer: Writer, name: str) -> int | None:
    for p, (lhs, rhs) in enumerate(writer.equations):
        found = {ir.name_of(a) for a in (*lhs.atoms(Indexed), *rhs.atoms(Indexed))}
        if name in found or any(s.name == name for s in (lhs.free_symbols | rhs.free_symbols) if s.is_Symbol):
            return p
    return None
