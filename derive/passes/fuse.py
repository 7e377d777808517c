"""Products that are known before the loop join the product of the step that they are added to.

    z_i = W_x_i + U_h_i + b_i,  W_x_i parallel, U_h_i recurrent   ->   z_i = W_x_U_h_i + b_i,  one product of two pairs

The pair W x of the joined product is marked `hoistable`: its operand is there before the loop begins.  A kernel may then
multiply it for many steps at once (few sequences: the weights are read once for all steps) or within the tile of the
step (many sequences: nothing is written and read again); both give the same bits.  What is known and is not added to a
recurrent product, as W_n x in a GRU, joins the tile as a slot of its own where only its stage reads it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import sympy as sp
from sympy.tensor.indexed import Indexed

from derive import ir
from derive.ir import Equation, Program
from derive.passes.lower import Loop, Lowered, Pair, Phase, Product, Stage, verify_lowered

SLOTS = 4  # products of a tile: one vector each


def fuse(lowered: Lowered, saved: Collection[str] = ()) -> Lowered:
    """Lowered kernel -> lowered kernel with the known products of its steps inside of their tiles.

    `saved` are the tensors that a later kernel reads; their values keep a name of their own.
    """
    kept = {*saved, *lowered.program.outputs}
    # A phase vanishes when its last product joins a tile: parts are counted from the end.
    for back in range(len(lowered.parts), 0, -1):
        if not isinstance(lowered.parts[-back], Loop):
            continue
        for number in range(len(lowered.parts[-back].stages)):
            if lowered.parts[-back].stages[number].products:
                lowered = _fused(lowered, back, number, kept)
    return verify_lowered(lowered)


def _fused(lowered: Lowered, back: int, number: int, kept: set[str]) -> Lowered:
    """The kernel with all that may join one stage of the loop that is part -back."""
    lowered = _gather(lowered, back, number, kept)
    lowered = _inline(lowered, back, number, kept)
    for product in [p for phase in _before(lowered, back) for p in phase.products if p.kind == "parallel"]:
        lowered = _join(lowered, back, number, product, kept)
    return lowered


def _before(lowered: Lowered, back: int) -> list[Phase]:
    """The phases whose values are known when a loop begins: all before it."""
    return [p for p in lowered.parts[: len(lowered.parts) - back] if isinstance(p, Phase)]


def _stage(lowered: Lowered, back: int, number: int) -> Stage:
    return lowered.parts[-back].stages[number]


def _with_stage(lowered: Lowered, back: int, number: int, stage: Stage, program: Program | None = None) -> Lowered:
    """The kernel with another stage `number` in the loop that is part -back."""
    loop = lowered.parts[-back]
    stages = [stage if n == number else s for n, s in enumerate(loop.stages)]
    changed = lowered.with_part(len(lowered.parts) - back, Loop(stages))
    return changed if program is None else replace(changed, program=program)


def _gather(lowered: Lowered, back: int, number: int, kept: set[str]) -> Lowered:
    """Move what is made of known products before the loop, and read by one stage of it alone, into that stage."""
    stage, program = _stage(lowered, back, number), lowered.program
    products = {p.target for phase in _before(lowered, back) for p in phase.products}
    for phase in _before(lowered, back):
        for old in phase.stages:
            for equation in reversed(old.pointwise):
                reads = {ir.name_of(a) for a in ir.accesses(equation.rhs, program.tensors)}
                if equation.target in kept or not reads & products or not _reader(lowered, stage, equation.target):
                    continue
                moved = replace(old, pointwise=[e for e in old.pointwise if e is not equation])
                thinner = replace(phase, stages=[moved if s is old else s for s in phase.stages])
                place = next(n for n, p in enumerate(lowered.parts) if p is phase)
                changed = replace(stage, pointwise=[equation, *stage.pointwise])
                moved_in = _with_stage(lowered.with_part(place, thinner), back, number, changed)
                return _gather(_swept(moved_in), back, number, kept)
    return lowered


def _inline(lowered: Lowered, back: int, number: int, kept: set[str]) -> Lowered:
    """Write a sum with a product into the one sum of the stage that reads it, so that their products meet."""
    stage, program = _stage(lowered, back, number), lowered.program
    for equation in stage.pointwise:
        terms = [ir.name_of(x) for x in ir.terms(equation.rhs) if isinstance(x, Indexed)]
        if equation.target in kept or not any(program.tensors[n].role == "product" for n in terms):
            continue
        readers = _reader(lowered, stage, equation.target)
        if len(readers) != 1 or not any(equation.lhs in a.args for a in readers[0].rhs.atoms(sp.Add)):
            continue
        if readers[0].rhs.count(equation.lhs) != 1:
            continue
        reader = readers[0]
        ids = tuple(dict.fromkeys((*equation.ids, *reader.merged)))
        merged = replace(reader, rhs=reader.rhs.xreplace({equation.lhs: equation.rhs}), merged=ids)
        rest = [merged if e is reader else e for e in stage.pointwise if e is not equation]
        equations = [merged if e is reader else e for e in program.equations if e is not equation]
        tensors = {n: x for n, x in program.tensors.items() if n != equation.target}
        changed = replace(stage, pointwise=rest)
        merged_in = _with_stage(lowered, back, number, changed, program.with_equations(equations, tensors))
        return _inline(merged_in, back, number, kept)
    return lowered


def _reader(lowered: Lowered, stage: Stage, name: str) -> list[Equation]:
    """The pointwise equations of `stage` that read a tensor in its own step, if nothing else reads it at all."""
    tensors = lowered.program.tensors
    for equation in lowered.program.equations:
        for access in ir.accesses(equation.rhs, tensors):
            if ir.name_of(access) == name and (equation not in stage.pointwise or access != tensors[name].at()):
                return []
    return [e for e in stage.pointwise if _reads(e, lowered.program, name)]


def _join(lowered: Lowered, back: int, number: int, known: Product, kept: set[str]) -> Lowered:
    """Put one known product into a stage of a loop, if it belongs there."""
    stage, tensors = _stage(lowered, back, number), lowered.program.tensors
    if not stage.products or not _in_step(lowered.program, known):
        return lowered
    if known.target in kept or not _only_read_by(lowered, stage, known.target):
        return lowered
    readers = [e for e in stage.pointwise if _reads(e, lowered.program, known.target)]
    partner = next(
        (p for p in stage.products if p.target not in kept and _added(lowered, stage, readers, known, p)), None
    )
    if partner is not None:
        changed, program = _added_up(lowered.program, stage, known, partner, readers[0])
        return _replaced(lowered, back, number, known, changed, program)
    same_units = ir.units(tensors[known.target]) == stage.space
    if same_units and 1 < len(stage.products) < SLOTS:
        mine = replace(known, kind="recurrent", pairs=_known(known.pairs))
        changed = replace(stage, products=[*stage.products, mine])
        return _replaced(lowered, back, number, known, changed, lowered.program)
    return lowered


def _in_step(program: Program, product: Product) -> bool:
    """Whether the product takes its operands of the very step that it belongs to."""
    return all(not ir.offset(ir.time_of(p.operand, program.tensors)) for p in product.pairs)


def _reads(equation: Equation, program: Program, name: str) -> bool:
    return any(ir.name_of(a) == name for a in ir.accesses(equation.rhs, program.tensors))


def _only_read_by(lowered: Lowered, stage: Stage, name: str) -> bool:
    """Whether the pointwise equations of one stage alone read a product."""
    stages = [*lowered.stages, *lowered.edge]
    products = [p for s in stages for p in s.products] + [p for phase in lowered.phases for p in phase.products]
    if any(ir.name_of(a) == name for p in products for pair in p.pairs for a in (pair.weight, pair.operand)):
        return False
    readers = [(s, e) for s in stages for e in s.equations if _reads(e, lowered.program, name)]
    return bool(readers) and all(s is stage and e in stage.pointwise for s, e in readers)


def _added(lowered: Lowered, stage: Stage, readers: list[Equation], known: Product, partner: Product) -> bool:
    """Whether `partner` is read nowhere but in the sum in which `known` stands."""
    tensors = lowered.program.tensors
    if len(readers) != 1 or not _only_read_by(lowered, stage, partner.target):
        return False
    others = [e for e in stage.pointwise if e is not readers[0] and _reads(e, lowered.program, partner.target)]
    return not others and _sum_of(readers[0].rhs, tensors[known.target].at(), tensors[partner.target].at()) is not None


def _sum_of(rhs: sp.Expr, *accesses: sp.Expr) -> sp.Expr | None:
    """The one sum in which all these values are terms, if they stand nowhere else."""
    if any(rhs.count(a) != 1 for a in accesses):
        return None
    return next((x for x in ir.ordered(rhs.atoms(sp.Add)) if all(a in x.args for a in accesses)), None)


def _known(pairs: tuple[Pair, ...]) -> tuple[Pair, ...]:
    return tuple(replace(p, hoistable=True) for p in pairs)


def _added_up(
    program: Program, stage: Stage, known: Product, partner: Product, reader: Equation
) -> tuple[Stage, Program]:
    """The stage and the program with two products that are added up as one."""
    first, second = program.tensors[known.target], program.tensors[partner.target]
    family = f"{first.family or first.name}_{second.family or second.name}"
    name = f"{family}_{second.member}" if second.member else family
    tensor = replace(second, name=name, family=family if second.member else "")
    ids = tuple(dict.fromkeys((*known.ids, *partner.ids)))
    joined = Product(name, partner.kind, (*_known(known.pairs), *partner.pairs), ids)
    total = _sum_of(reader.rhs, first.at(), second.at())
    assert isinstance(total, sp.Add)
    rest = [x for x in total.args if x not in (first.at(), second.at())]
    summed = replace(reader, rhs=reader.rhs.xreplace({total: sp.Add(tensor.at(), *rest)}))
    made = {e.target: e for e in program.equations}
    product_equation = replace(made[second.name], lhs=tensor.at(), rhs=made[first.name].rhs + made[second.name].rhs)
    swap = {id(reader): summed, id(made[second.name]): product_equation}
    equations = [swap.get(id(e), e) for e in program.equations if e.target != first.name]
    tensors = {
        name if n == second.name else n: tensor if n == second.name else x
        for n, x in program.tensors.items()
        if n != first.name
    }
    changed = replace(
        stage,
        products=[joined if p is partner else p for p in stage.products],
        pointwise=[summed if e is reader else e for e in stage.pointwise],
    )
    return changed, program.with_equations(equations, tensors)


def _replaced(lowered: Lowered, back: int, number: int, known: Product, stage: Stage, program: Program) -> Lowered:
    """The kernel with a changed stage, and without the known product in the phase before its loop."""
    parts = [
        replace(p, products=[q for q in p.products if q is not known]) if isinstance(p, Phase) else p
        for p in lowered.parts
    ]
    return _swept(_with_stage(replace(lowered, parts=parts), back, number, stage, program))


def _swept(lowered: Lowered) -> Lowered:
    """Without stages and phases that have become empty."""
    parts = [
        replace(p, stages=[s for s in p.stages if s.products or s.equations]) if isinstance(p, Phase) else p
        for p in lowered.parts
    ]
    return replace(lowered, parts=[p for p in parts if isinstance(p, Loop) or p.products or p.stages])
