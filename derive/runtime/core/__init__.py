"""The part of the runtime that knows pointers, shapes and buffers, and no library of arrays.

    spec       what a generated module says of itself: its arguments, their shapes, its calls
    extension  the compiled half of a module
    problem    one set of shapes: the structs and the sizes of buffers that follow from it
    runner     running calls: structs, pointers, scratch memory, threads
    kept       memory that stays between calls
    split, workers, isa, blocks

It needs cffi and the standard library.  An array is whatever has the buffer protocol; `arrays.Arrays` lists the two things
that only a library of arrays does well.  derive/runtime/numpy is the layer above for NumPy; others go beside it.
"""
