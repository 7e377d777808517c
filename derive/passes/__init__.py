"""Passes: functions from one program to another, in the order in which `derive/pipeline.py` runs them.

    normalize   every equation is a contraction, pointwise, or a row sum      Program -> Program
    adjoint     vjp, jvp: backpropagation through time, one equation at a time
    simplify/   saved derivatives, folding, sharing, with a count for each rule
    batch       many sequences beside each other
    lower/      products of matrices and stages, before, in and after loops   Program -> Lowered
    fuse        known products join the tile of the step that adds them up
    storage     argument, tape, workspace or register for every tensor        Lowered -> Storage

normal_form.py and storage_verifier.py check what their neighbours make; lower/verifier.py checks lowered kernels.
"""
