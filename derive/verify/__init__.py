"""A compiled module against the equations that it was made of.

`validate` draws problems, evaluates the cell's own equations and their unsimplified adjoint with the interpreter, and
calls every entry point of the module with them: whatever simplification, lowering, storage, templates, the C compiler
or the runtime made wrong is a sentence in its result.  It knows nothing of any of these.

problem.py draws sizes and values, oracle.py says what is right and how far roundings can go, compare.py puts two arrays
side by side, calls.py calls the module, validation.py goes through the cases.
"""

from derive.verify.oracle import Expected, Oracle
from derive.verify.problem import Problem, draw, sizes_of
from derive.verify.validation import validate

__all__ = ["Expected", "Oracle", "Problem", "draw", "sizes_of", "validate"]
