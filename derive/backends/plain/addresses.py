"""Where a value is: C for the row of a tensor at a step.

Buffers hold one step, or two where a neighbouring step is read, the even and the odd one.  The function of one step has
t = 1, so that the step before it is the initial state and its buffers hold one step each.
"""

from __future__ import annotations

from dataclasses import dataclass

import sympy as sp

from derive import ir
from derive.backends.shared.names import c_name
from derive.backends.shared.sizes import size
from derive.errors import EngineError
from derive.ir import Tensor
from derive.passes.storage import Place, Region
from derive.pipeline import Model, Routine

OWN = ("k", "group")  # a variable of the kernels that is no reserved word of the notation


def spelled(name: str, by: int = 0) -> str:
    """The C variable of a tensor at an offset."""
    found = c_name(name, by)
    return f"{found}_" if found in OWN else found


@dataclass(frozen=True)
class Row:
    """A member of `at`, the pointers to the values of a step; `moves`: it is another one at every step."""

    name: str
    address: str
    moves: bool


def arrays(made: Model) -> dict[str, str]:
    """The caller's arrays by the names of the passes, as members of the struct of arguments."""
    found = {n: f"args->{n}" for n in (*made.meta["targets"], "out", "loss", "d_out")}
    for name in made.meta["inputs"]:
        found |= {name: f"args->{name}", f"d_{name}": f"args->d_{name}"}
    for param in made.meta["params"]:
        found |= {param: f"args->weights->{param}", f"d_{param}": f"args->d_weights->{param}"}
    for state in made.meta["states"]:
        member = spelled(state)
        found |= {f"{state}_0": f"args->first ? args->first->{member} : nothing", f"{state}_T": f"args->last->{member}"}
        found[f"d_{state}_T"] = f"args->d_last ? args->d_last->{member} : NULL"
        found[f"d_{state}_0"] = f"args->d_first->{member}"
    return found


def arrays_of_routine(made: Routine) -> dict[str, str]:
    """The same for a routine, whose arrays have the names of their tensors, as those of initial values do."""
    found = {p.array: f"args->{p.array}" for p in made.arguments.values()}
    return found | {n: f"args->{p.array}" for n, p in made.arguments.items()}


def width(place: Place | Region) -> str:
    """The numbers in a row of a buffer."""
    return size(place.slots * (place.dim if place.dim is not None else sp.Integer(1)))


class Addresses:
    """The rows of one kernel.  `single`: it is the function of one step, at t = 1; `mirrored`: see LoweredKernel."""

    def __init__(self, arrays: dict[str, str], single: bool, mirrored: bool) -> None:
        self.arrays, self.single, self.mirrored = arrays, single, mirrored

    def row(self, tensor: Tensor, by: int, place: Place, edge: bool, is_optional: bool = False) -> Row:
        """The row of a tensor `by` steps from the current one, which is t = 0 at the edge.

        `is_optional`: the caller may give no array, and then there is no row.
        """
        name = spelled(tensor.name, by)
        slot = f" + {size(place.slot * sp.Mul(*(d for d in tensor.dims if d != ir.B)))}" if place.slot else ""
        if place.kind in ("step", "edge", "call"):
            return Row(name, f"work.{place.array}[0]{slot}", False)
        if place.kind == "arg" and not place.timed:
            return Row(name, f"{self.arrays[place.array]}{slot}", False)
        if place.kind not in ("arg", "tape", "chunk", "swap"):
            raise EngineError(f"{tensor.name} is read {by:+d} steps away and has no row in memory, but a {place.kind}")
        when = 0 if edge else 1 if self.single else None
        if when is not None and when + by == 0:
            return Row(name, self._initial(tensor, place), False)
        since = self._since(when, by)
        if place.kind == "arg":
            step = size(place.dim) if place.dim is not None else "1"
            found = self.arrays[place.array] + (f" + ({since}) * {step}" if since != "0" else "")
            if is_optional:
                found = f"{self.arrays[place.array]} ? {found} : NULL"
        elif place.kind == "tape":
            found = f"args->tape->{place.array}[{since}]{slot}"
        else:
            parity = str((when + by) % 2) if when is not None else "(t + 1) % 2" if by else "t % 2"
            found = f"work.{place.array}[{parity if place.neighbour and not self.single else '0'}]{slot}"
        if when is None and by < 0:
            found = f"t > 1 ? {found} : {self._initial(tensor, place)}"
        return Row(name, found, when is None)

    def _since(self, when: int | None, by: int) -> str:
        """The number of steps from the start of an array with all steps."""
        if self.mirrored:
            step = (
                str(when + by)
                if when is not None
                else f"t{f' {by:+d}'.replace('+', '+ ').replace('-', '- ') if by else ''}"
            )
            return f"T - {step if step.isalnum() else f'({step})'}"
        return str(when + by - 1) if when is not None else f"t - {1 - by}" if by < 1 else "t"

    def _initial(self, tensor: Tensor, place: Place) -> str:
        if not place.initial:
            raise EngineError(f"{tensor.name} is read at t = 0, where it has no initial value")
        return self.arrays[place.initial]

    def rows(self, region: Region) -> int:
        """The steps that a buffer holds."""
        return 2 if region.neighbour and not self.single else 1
