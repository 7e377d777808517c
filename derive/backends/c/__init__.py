"""The C backend: vectorised, cache-blocked, threaded C99 with GCC/Clang vector extensions.

contractions.py turns products into GEMMs, tiles and packed panels; schedule.py puts everything that a kernel does into one
record, kernel.py, which kernel_verifier.py and tile_verifier.py check; layout.py and addresses.py say where values are;
render.py and emit.py fill the templates; standalone.py folds what they include into one file.
"""
