"""The index notation that every pass speaks: tensors, equations, programs.

A `Program` is a system of recurrence equations over indexed tensors, for one sequence (a later pass adds the batch).
The right-hand sides are ordinary SymPy expressions made of `Indexed`, `Sum` and functions, so that they can be
inspected, substituted and printed.  What SymPy does not know is kept here: which tensors exist, over which range of
time each lives, and that h[t] depends on h[t-1].

Three rules give a program its meaning:

1. Every tensor is defined by its equations and by nothing else; order in the list is for the reader.
2. A tensor that has a time axis lives on a span, such as 1..T or 0..T.  **Read outside of its span it is zero**, and so
   is every product of which it is a factor.  Boundary conditions of adjoints, such as "nothing arrives from T+1", are
   this rule and no equation.
3. `span(t, lo, hi)` is 1 where lo <= t <= hi and 0 elsewhere: it restricts one term of a sum to part of the time.

symbols.py has the names of time and of dimensions, program.py the records, access.py and ranges.py what is asked of
an expression; verifier.py checks a program, dependence.py orders it, line.py prints its expressions.
"""

from derive.ir.access import accesses, dims_of, indices_of, is_position, names_in, offset, ordered, terms, time_of, walk
from derive.ir.dependence import Group, concluded, dependencies, in_step, order, prepared
from derive.ir.line import text
from derive.ir.program import Equation, Facts, Origin, Program, Tensor, name_of, unused_name
from derive.ir.ranges import contains, hull, intersect, support, without_guards
from derive.ir.space import Space, axes, ordered_axes, space, unit_indices, units, width
from derive.ir.symbols import REDUCTIONS, ROW, STEPS, B, Largest, Span, T, dimension, index, span, t
from derive.ir.verifier import verify

__all__ = [
    "B",
    "Equation",
    "Facts",
    "Group",
    "Largest",
    "Origin",
    "Program",
    "REDUCTIONS",
    "ROW",
    "STEPS",
    "Space",
    "Span",
    "T",
    "Tensor",
    "accesses",
    "axes",
    "concluded",
    "contains",
    "dependencies",
    "dimension",
    "dims_of",
    "hull",
    "in_step",
    "index",
    "intersect",
    "indices_of",
    "is_position",
    "name_of",
    "names_in",
    "offset",
    "order",
    "ordered",
    "ordered_axes",
    "prepared",
    "space",
    "span",
    "support",
    "t",
    "terms",
    "text",
    "time_of",
    "unit_indices",
    "units",
    "unused_name",
    "verify",
    "walk",
    "width",
    "without_guards",
]
