"""From equations to the shapes that a machine runs: products of matrices, pointwise stages, reductions.

    z_i[t,row,n] = Sum_j W_i[n,j]*x[t,row,j] + Sum_k U_i[n,k]*h[t-1,row,k] + b_i[n]

becomes two products, W_x_i and U_h_i, and a pointwise equation z_i = W_x_i + U_h_i + b_i.  A product is

    parallel    its operand is known for all t: one large GEMM before (or after) the loop over time
    recurrent   its operand is carried by the loop: one GEMM a step, the pointwise stage fused to its tiles
    reducing    it sums over time and rows, as dW does: one large GEMM after the loop, K = steps * rows

A sum over the units of a step (layer norm) splits the step into stages: what reads the sum belongs to a later one.
The result, a `Lowered` (lowered.py), is still mathematics: no layout, no tile, no C.  splitting.py makes products of
sums, placement.py says what comes before, in and after the loop, stages.py what is evaluated together;
verifier.py checks the result.
"""

from __future__ import annotations

from derive.ir import Program
from derive.passes.lower.lowered import Loop, Lowered, Pair, Phase, Product, Stage
from derive.passes.lower.placement import is_loop, placed, with_kinds
from derive.passes.lower.splitting import split_sums
from derive.passes.lower.stages import Stages
from derive.passes.lower.verifier import verify_lowered

__all__ = ["Loop", "Lowered", "Pair", "Phase", "Product", "Stage", "lower", "verify_lowered"]


def lower(program: Program, direction: int = 0) -> Lowered:
    """Batched program in normal form -> kernel.  Raises DeriveError, with the equation, for what has no lowering.

    `direction` says how time runs: +1, -1, or 0 where the equations alone decide.
    """
    split = split_sums(program)
    placement = placed(split, direction)
    make = Stages(with_kinds(split, placement))
    parts: list[Phase | Loop] = []
    for number, names in enumerate(placement.parts):
        parts += [Loop(make.stages(names))] if is_loop(number) else make.phases(names)
    parts = [p for p in parts if p.stages or (isinstance(p, Phase) and p.products)]
    lowered = Lowered(
        split.program,
        placement.direction,
        parts,
        make.edge(placement.names),
        list(placement.boundaries),
        list(placement.zeros),
        make.stages(placement.before),
        make.stages(placement.after),
    )
    return verify_lowered(lowered)
