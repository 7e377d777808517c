"""Products that are known before the loop join the product of the step that they are added to.

    z_i = W_x_i + U_h_i + b_i,  W_x_i parallel, U_h_i recurrent   ->   z_i = W_x_U_h_i + b_i,  one product of two pairs

The pair W x of the joined product is marked `known`: its operand is there before the loop begins.  A kernel may then
multiply it for many steps at once (few sequences: the weights are read once for all steps) or within the tile of the
step (many sequences: nothing is written and read again); both give the same bits.  What is known and is not added to a
recurrent product, as W_n x in a GRU, joins the tile as a slot of its own where only its stage reads it.
"""

from __future__ import annotations

from dataclasses import replace

import sympy as sp
from sympy.tensor.indexed import Indexed

from derive import ir
from derive.ir import Equation, Program
from derive.lower import Lowered, Pair, Product, Stage

SLOTS = 4  # products of a tile: one vector each


def fuse(lowered: Lowered) -> Lowered:
    """Lowered kernel -> lowered kernel with the known products of its steps inside of their tiles."""
    for number in range(len(lowered.loop)):
        for product in [p for phase in lowered.before for p in phase.products if p.kind == "parallel"]:
            lowered = _join(lowered, number, product)
    return lowered


def _join(lowered: Lowered, number: int, known: Product) -> Lowered:
    """Put one known product into a stage of the loop, if it belongs there."""
    stage, tensors = lowered.loop[number], lowered.program.tensors
    if not stage.products or not _only_read_by(lowered, stage, known.target) or not _in_step(lowered.program, known):
        return lowered
    readers = [e for e in stage.pointwise if _reads(e, lowered.program, known.target)]
    partner = next((p for p in stage.products if _added(lowered, stage, readers, known, p)), None)
    if partner is not None:
        return _added_up(lowered, number, known, partner, readers[0])
    same_units = [d for d in tensors[known.target].dims if d != ir.B] == [stage.dim]
    if same_units and 1 < len(stage.products) < SLOTS:
        mine = replace(known, kind="recurrent", pairs=_known(known.pairs))
        return _replaced(lowered, number, known, replace(stage, products=[*stage.products, mine]), lowered.program)
    return lowered


def _in_step(program: Program, product: Product) -> bool:
    """Whether the product takes its operands of the very step that it belongs to."""
    return all(not ir.offset(ir.time_of(p.operand, program.tensors)) for p in product.pairs)


def _reads(equation: Equation, program: Program, name: str) -> bool:
    return any(ir.name_of(a) == name for a in ir.accesses(equation.rhs, program.tensors))


def _only_read_by(lowered: Lowered, stage: Stage, name: str) -> bool:
    """Whether the pointwise equations of one stage alone read a product, and nobody outside wants it."""
    if lowered.program.tensors[name].role != "product" or name in lowered.program.outputs:
        return False
    phases = [*lowered.before, *lowered.after]
    stages = [*lowered.loop, *lowered.edge, *(s for p in phases for s in p.stages)]
    products = [p for s in stages for p in s.products] + [p for phase in phases for p in phase.products]
    if any(ir.name_of(a) == name for p in products for pair in p.pairs for a in (pair.weight, pair.operand)):
        return False
    readers = [(s, e) for s in stages for e in s.equations if _reads(e, lowered.program, name)]
    return bool(readers) and all(s is stage and e in stage.pointwise for s, e in readers)


def _added(lowered: Lowered, stage: Stage, readers: list[Equation], known: Product, partner: Product) -> bool:
    """Whether `partner` is read nowhere but in the sum in which `known` stands."""
    if len(readers) != 1 or not _only_read_by(lowered, stage, partner.target):
        return False
    terms = [ir.name_of(x) for x in ir.terms(readers[0].rhs) if isinstance(x, Indexed)]
    others = [e for e in stage.pointwise if e is not readers[0] and _reads(e, lowered.program, partner.target)]
    return known.target in terms and partner.target in terms and not others


def _known(pairs: tuple[Pair, ...]) -> tuple[Pair, ...]:
    return tuple(replace(p, known=True) for p in pairs)


def _added_up(lowered: Lowered, number: int, known: Product, partner: Product, reader: Equation) -> Lowered:
    program, stage = lowered.program, lowered.loop[number]
    first, second = program.tensors[known.target], program.tensors[partner.target]
    family = f"{first.family or first.name}_{second.family or second.name}"
    name = f"{family}_{second.member}" if second.member else family
    tensor = replace(second, name=name, family=family if second.member else "")
    ids = tuple(dict.fromkeys((*known.ids, *partner.ids)))
    joined = Product(name, partner.kind, (*_known(known.pairs), *partner.pairs), ids)
    rest = [x for x in ir.terms(reader.rhs) if not (isinstance(x, Indexed) and ir.name_of(x) in (first.name, second.name))]
    summed = replace(reader, rhs=sp.Add(tensor.at(), *rest))
    made = {e.target: e for e in program.equations}
    product_equation = replace(made[second.name], lhs=tensor.at(), rhs=made[first.name].rhs + made[second.name].rhs)
    swap = {id(reader): summed, id(made[second.name]): product_equation}
    equations = [swap.get(id(e), e) for e in program.equations if e.target != first.name]
    tensors = {name if n == second.name else n: tensor if n == second.name else x for n, x in program.tensors.items() if n != first.name}
    changed = replace(
        stage,
        products=[joined if p is partner else p for p in stage.products],
        pointwise=[summed if e is reader else e for e in stage.pointwise],
    )
    return _replaced(lowered, number, known, changed, program.with_equations(equations, tensors))


def _replaced(lowered: Lowered, number: int, known: Product, stage: Stage, program: Program) -> Lowered:
    """The kernel with a changed stage, and without the known product before its loop."""
    before = [replace(p, products=[q for q in p.products if q is not known]) for p in lowered.before]
    return replace(
        lowered,
        program=program,
        before=[p for p in before if p.products or p.stages],
        loop=[stage if n == number else s for n, s in enumerate(lowered.loop)],
    )
