"""The plain backend: scalar C99 for processors without vectors, with sizes and memory that are fixed when it is compiled.

addresses.py says where values are, kernel.py writes a lowered kernel as loops over units inside of one loop over time, emit.py
fills templates/plain/.  A chunk of steps, as the passes call it, is one step here: see derive/backends/base.py.
"""

from derive.backends.plain.emit import files

__all__ = ["files"]
