"""What the system knows of one function, and ways to evaluate it that keep to its derivative where it has a kink."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import mpmath
import numpy as np

Number = Any  # an array of NumPy, or a number of mpmath
Evaluated = Callable[..., Any]


@dataclass(frozen=True)
class Record:
    """What the system knows of one function.

    `function` is the SymPy class, with its derivative; `numpy` and `mpmath` evaluate it, for complex numbers too, whose
    imaginary parts are a direction: see `directed`.  `c` is its name in C, `latex` its name on paper, or a text with {0},
    {1} for its arguments.  `vector`: it has a kernel in templates/c/math.h.j2; the others go lane by lane through the C
    library.  `transcendental`: it costs more than some multiplications, and gets an equation of its own.  `slots`: how many
    multiplications it costs, of a NumPy type; None: as many as exp.  `ulp` bounds its error in units in the last place.
    `arguments` are the names of its arguments, for messages.  `name` is what a cell file calls it, if not by the name of
    the class; `in_cells`: False for what SymPy's derivatives or passes write, and no person.
    `definition`: the function as an expression in others, from which C is written; `declared`: its derivative is what a
    person declared, and is not that of its values.
    """

    function: Any
    numpy: Evaluated
    mpmath: Evaluated
    c: str
    latex: str
    vector: bool = False
    transcendental: bool = False
    ulp: float = 0
    arguments: tuple[str, ...] = ("a",)
    name: str = ""
    in_cells: bool = True
    slots: Callable[[type], int] | None = None
    definition: Callable[..., Any] | None = None
    declared: bool = False

    @property
    def spelled(self) -> str:
        """Its name in a cell file, in messages and in tables."""
        return self.name or str(self.function.__name__)


def directed(value: Evaluated, *slopes: Evaluated) -> Evaluated:
    """A function of NumPy arrays that carries imaginary parts along as a direction: value + i sum_k slope_k im(a_k).

    `value` and `slopes` are functions of real arrays.  So a complex step keeps to the derivative that is stated, at a kink
    as well, and compares real parts.  Where a slope is 0, what stands in that direction is nothing, be it infinite.
    """

    def evaluate(*arguments: Number) -> Number:
        if not any(np.iscomplexobj(a) for a in arguments):
            return value(*arguments)
        real = [np.real(a) for a in arguments]
        found = np.array(np.asarray(value(*real)) + 0j)  # an array, of no axes too
        along: Any = np.zeros(found.shape, dtype=found.real.dtype)
        for slope, argument in zip(slopes, arguments, strict=True):
            factor = np.asarray(slope(*real), dtype=found.real.dtype)
            along = along + np.where(factor == 0, 0, factor * np.imag(argument))
        found.imag = along
        return found

    return evaluate


def directed_mp(value: Evaluated, *slopes: Evaluated) -> Evaluated:
    """The same for numbers of mpmath."""

    def evaluate(*arguments: Number) -> Number:
        real = [mpmath.re(a) for a in arguments]
        if all(mpmath.im(a) == 0 for a in arguments):
            return mpmath.mpf(value(*real))
        found = [(slope(*real), mpmath.im(a)) for slope, a in zip(slopes, arguments, strict=True)]
        return mpmath.mpc(value(*real), mpmath.fsum(s * im for s, im in found if s != 0))

    return evaluate
