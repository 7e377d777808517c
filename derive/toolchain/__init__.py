"""The compiler and its results: compiling C with cffi, the cache of compiled modules, loading them."""
