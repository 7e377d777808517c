"""The C backend: vectorised, cache-blocked, threaded C99 with GCC/Clang vector extensions.

target.py has the numbers of the machine, types.py what scalar types differ in.  contractions.py turns products into GEMMs, tiles
and packed panels; schedule.py puts everything that a kernel does into one record, kernel.py.  addresses.py and layout.py say
where values are, in expressions, by which kernel_verifier.py and tile_verifier.py prove what spelled.py, stages.py, products.py
and acts.py hand on: a record for every line that depends on the plan.  render.py and emit.py fill the templates, which hold
text; standalone.py folds what they include into one file.
"""
