"""Lowering: which products there are and of which kind, how a step is split, and that the numbers stay the same."""

from __future__ import annotations

from functools import cache

import pytest
import sympy as sp
from engine_tools import CELLS, SIZES, draw, relative

from derive import ir, registry
from derive.backends.c.kernel import Kernel
from derive.backends.c.schedule import plan
from derive.errors import DeriveError
from derive.ir import ROW, B, Program, T, dimension, t
from derive.notation import Sum, cell, i, j, k, m, n, sigmoid, tanh
from derive.passes.adjoint import vjp
from derive.passes.batch import batch
from derive.passes.lower import Loop, Lowered, Phase, Product, Stage, lower
from derive.passes.simplify import simplify
from derive.pipeline import Model, model
from derive.verify import interpreter as reference

H, I = dimension("H"), dimension("I")
KERNELS = ("infer", "forward", "loss", "backward")


@cache
def made(name: str) -> Model:
    return model(registry.cell(name))


def kernel(name: str, which: str) -> Kernel:
    return next(x for x in plan(made(name)) if x.name == which)


@cache
def halves(name: str) -> tuple[Program, Program]:
    """The batched forward and backward programs, before they are lowered."""
    primal = registry.cell(name).program()
    many = batch(simplify(vjp(primal))[0])
    forward = {e.id for e in primal.equations}
    first = many.with_equations([e for e in many.equations if e.id in forward])
    first = first.with_equations(
        first.equations,
        {x: y for x, y in first.tensors.items() if x in first.defined or y.role in ("param", "input", "initial")},
    )
    return first, many.with_equations([e for e in many.equations if e.id not in forward])


@cache
def lowered(name: str, backward: bool) -> Lowered:
    return lower(halves(name)[backward])


def large(phases: list[Phase]) -> list[Product]:
    """The products for all steps at once of some phases."""
    return [p for phase in phases for p in phase.products]


def looped(half: Lowered) -> list[Stage]:
    """The stages of all loops."""
    return [s for loop in half.loops for s in loop.stages]


def products(half: Lowered) -> dict[str, str]:
    """Target -> kind, of all products."""
    found = [*large(half.phases), *(p for s in looped(half) for p in s.products)]
    return {p.target: p.kind for p in found}


# -- kinds -------------------------------------------------------------------------------------------------------------


def test_the_kinds_of_the_lstm() -> None:
    forward, backward = products(lowered("lstm", False)), products(lowered("lstm", True))
    assert forward == {**{f"W_x_{q}": "parallel" for q in "ifgo"}, **{f"U_h_{q}": "recurrent" for q in "ifgo"}}
    weight_gradients = {f"d_{w}_{q}" for w in "WU" for q in "ifgo"}
    assert {target for target, kind in backward.items() if kind == "reducing"} == weight_gradients
    assert [kind for target, kind in backward.items() if target not in weight_gradients].count("recurrent") == 1
    assert backward["d_x"] == "parallel"


def test_when_each_kind_runs() -> None:
    """W x before the loop, U h in it, d_x and the gradients of the weights after it; time runs backwards in backward."""
    forward, backward = lowered("lstm", False), lowered("lstm", True)
    assert (forward.direction, backward.direction) == (1, -1)
    before, loop = forward.parts
    assert isinstance(before, Phase) and isinstance(loop, Loop) and {p.kind for p in before.products} == {"parallel"}
    loop, *after = backward.parts
    assert isinstance(loop, Loop) and {p.kind for p in large(after)} == {"parallel", "reducing"}
    for half in (forward, backward):
        assert {p.kind for s in looped(half) for p in s.products} == {"recurrent"}


@pytest.mark.parametrize("name", CELLS)
def test_a_parallel_operand_is_known_and_a_recurrent_one_is_carried(name: str) -> None:
    for backward in (False, True):
        half = lowered(name, backward)
        inside = {e.target for s in looped(half) for e in s.equations} | {
            p.target for s in looped(half) for p in s.products
        }
        for product in large(half.parts[:1] if isinstance(half.parts[0], Phase) else []):
            assert not {ir.name_of(p.operand) for p in product.pairs} & inside
        for stage in looped(half):
            for product in stage.products:
                assert {ir.name_of(p.operand) for p in product.pairs} & inside, product.target


@pytest.mark.parametrize("name", CELLS)
def test_ids_are_kept(name: str) -> None:
    for backward in (False, True):
        source, half = halves(name)[backward], lowered(name, backward)
        kept = {number for e in [*half.program.equations, *half.boundaries] for number in e.ids}
        kept |= {x for p in large(half.phases) for x in p.ids}
        assert {number for e in source.equations for number in e.ids} <= kept


# -- merging -----------------------------------------------------------------------------------------------------------


def test_four_products_with_the_deltas_are_one_gemm() -> None:
    (gemm,) = kernel("lstm", "backward").gemms
    assert (gemm.n, gemm.k) == (I, 4 * H)


def test_four_products_with_the_deltas_are_one_segment() -> None:
    (stage,) = [s for s in kernel("lstm", "backward").loop_stages if s.tile]
    (segment,) = stage.tile.segments
    assert segment.k == 4 * H and segment.offset == 1


def test_the_gates_of_a_unit_lie_side_by_side_in_a_tile() -> None:
    (stage,) = [s for s in kernel("lstm", "forward").loop_stages if s.tile]
    assert stage.tile.slots == ("W_x_U_h_i", "W_x_U_h_f", "W_x_U_h_g", "W_x_U_h_o")
    hoistable, recurrent = stage.tile.segments
    assert hoistable.hoistable and hoistable.k == I and hoistable.offset == 0 and all(hoistable.weights)
    assert not recurrent.hoistable and recurrent.k == H and recurrent.offset == -1 and all(recurrent.weights)
    assert kernel("lstm", "forward").gemms == []


def test_a_gru_adds_where_its_equations_add_and_keeps_apart_what_they_keep_apart() -> None:
    """n = tanh(W x + b + r (U h + b')): the two products of n are slots of their own, those of r and z are sums."""
    (stage,) = [s for s in kernel("gru", "forward").loop_stages if s.tile]
    assert stage.tile.slots == ("W_x_n", "W_x_U_h_r", "W_x_U_h_z", "U_h_n")
    hoistable, recurrent = stage.tile.segments
    assert [w is None for w in hoistable.weights] == [False, False, False, True]
    assert [w is None for w in recurrent.weights] == [True, False, False, False]
    runs = [(r.column, r.width, r.start) for r in stage.tile.runs]
    assert runs == [(0, 3, "zero"), (1, 3, "known")]
    assert stage.tile.clear == ((3, 1),) and stage.tile.copy == ((0, 1),)


def test_what_is_normalised_is_not_joined() -> None:
    """Layer norm needs all of W x before it adds U h."""
    (stage,) = [s for s in kernel("lstm_layernorm", "forward").loop_stages if s.tile]
    assert all(not s.hoistable for s in stage.tile.segments)
    (gemm,) = kernel("lstm_layernorm", "forward").gemms
    assert (gemm.n, gemm.k) == (4 * H, I)


def test_operands_of_several_gradients_are_packed_once() -> None:
    assert [(p.name, p.width) for p in kernel("lstm", "backward").packs] == [
        ("left_1", 4 * H),
        ("right_1", I),
        ("right_2", H),
    ]


def test_the_gradients_of_the_weights_are_one_gemm_each() -> None:
    reduces = kernel("lstm", "backward").reduces
    assert {(r.place.array, r.m, r.n) for r in reduces} == {("d_weight_ih", 4 * H, I), ("d_weight_hh", 4 * H, H)}


# -- loops ----------------------------------------------------------------------------------------------------------


@cell(states="a b")
def two_layers(x, W, U, P, R, a, b):
    """Two recurrences, the second fed by a product of the first."""
    a[t, n] = tanh(Sum(W[n, j] * x[t, j], j) + Sum(U[n, k] * a[t - 1, k], k))
    b[t, m] = tanh(Sum(P[m, n] * a[t, n], n) + Sum(R[m, k] * b[t - 1, k], k))


def test_two_layers_are_two_loops_with_the_upper_product_over_all_time_between_them() -> None:
    primal = two_layers.normal()
    plain = lower(batch(primal))
    assert [type(p) for p in plain.parts] == [Phase, Loop, Phase, Loop]
    (between,) = large(plain.parts[2:3])
    assert (between.target, between.kind) == ("P_a", "parallel")
    assert [p.kind for s in looped(plain) for p in s.products] == ["recurrent", "recurrent"]
    # For few sequences it is made for a chunk of steps at once, before the loop; for many in the tiles of the loop.
    first, second = next(x for x in plan(model(two_layers)) if x.name == "forward").loops
    assert [s.tile.slots for s in second.hoistable if s.tile] == [("P_a_R_b",)]
    assert [s.tile.slots for s in first.hoistable if s.tile] == [("W_x_U_a",)]


def test_the_adjoint_of_two_layers_has_the_upper_loop_first() -> None:
    half = model(two_layers)
    first, second = next(x for x in plan(half) if x.name == "backward").loops
    assert {"d_b"} <= {n for s in first.stages for n in s.stores} | {
        e.target for s in first.stages for e in s.pointwise
    }
    assert {"d_a"} <= {n for s in second.stages for n in s.stores} | {
        e.target for s in second.stages for e in s.pointwise
    }


# -- stages ------------------------------------------------------------------------------------------------------------


def test_a_plain_cell_is_one_stage() -> None:
    for name in ("rnn", "lstm", "gru", "lstm_peephole"):
        assert len(looped(lowered(name, False))) == 1, name


def test_layer_norm_splits_the_step() -> None:
    """A row's mean is there when the row is; its variance after that; and what is normalised after both."""
    half = lowered("lstm_layernorm", False)
    assert len(looped(half)) >= 4
    assert sum(bool(s.sums) for s in looped(half)) >= 2
    where = {e.target: p for p, s in enumerate(looped(half)) for e in s.equations}
    where |= {p.target: q for q, s in enumerate(looped(half)) for p in s.products}
    assert where["mu2"] < where["var2"] <= where["rho2"] <= where["z_i"] <= where["c"] < where["mu3"] < where["var3"]
    assert where["h"] == max(where.values())


@pytest.mark.parametrize("name", CELLS)
def test_nothing_is_read_before_its_stage(name: str) -> None:
    for backward in (False, True):
        half = lowered(name, backward)
        where = {e.target: p for p, s in enumerate(looped(half)) for e in s.equations}
        sums = {e.target for s in looped(half) for e in s.sums}
        where |= {p.target: q for q, s in enumerate(looped(half)) for p in s.products}
        for p, stage in enumerate(looped(half)):
            for equation in stage.equations:
                for access in ir.accesses(equation.rhs, half.program.tensors):
                    read = ir.name_of(access)
                    if read in where and not ir.offset(ir.time_of(access, half.program.tensors)):
                        assert where[read] < p if read in sums else where[read] <= p, f"{equation.id} reads {read}"
            for product in stage.products:
                for pair in product.pairs:
                    if not ir.offset(ir.time_of(pair.operand, half.program.tensors)):
                        assert where.get(ir.name_of(pair.operand), -1) < p, f"{product.target} needs a whole row"


def test_a_dump_for_people() -> None:
    dump = lowered("lstm_layernorm", True).dump()
    for word in ("kernel", "time -", "loop:", "edge:", "phase:", "stage 1", "recurrent", "reducing"):
        assert word in dump
    assert "boundary" in lowered("lstm", False).dump()


# -- the numbers -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backward", [False, True], ids=["forward", "backward"])
@pytest.mark.parametrize("name", CELLS)
def test_lowered_equations_compute_the_same(name: str, backward: bool) -> None:
    """Sums are taken in another order: 1e-13.  The limits of split sums are those of the dimension they run over."""
    source, half = halves(name)[backward], lowered(name, backward)
    values = draw(source, SIZES)
    expected = reference.run(source, values, SIZES)
    found = reference.run(half.program, {x: values[x] for x in half.program.inputs}, SIZES)
    for target in source.defined:
        assert relative(found[target], expected[target]) < 1e-13, target


# -- what has no lowering ----------------------------------------------------------------------------------------------


def refused(*equations_of) -> str:
    (mine,) = equations_of
    with pytest.raises(DeriveError) as caught:
        lower(batch(mine.program()))
    return str(caught.value)


def test_a_matrix_that_is_read_transposed_is_refused_by_name() -> None:
    @cell(states="h A")
    def both(x, h, A, W):
        A[t, n, m] = A[t - 1, m, n] / 2 + h[t - 1, n] * h[t - 1, m]
        h[t, n] = tanh(Sum(W[n, j] * x[t, j], j) + Sum(A[t, n, m] * h[t - 1, m], m))

    words = r"cell both.*A\[t - 1, m, n\] have their indices n, m in different orders[\s\S]*test_lower.py, line"
    with pytest.raises(DeriveError, match=words):
        both.normal()


def test_a_program_that_runs_both_ways_is_refused() -> None:
    whole = batch(simplify(vjp(registry.cell("rnn").program()))[0])
    with pytest.raises(DeriveError, match="some equations run forwards in time and some backwards; lower them apart"):
        lower(whole)


def test_every_kernel_of_every_cell_is_lowered() -> None:
    for name in CELLS:
        assert [x.name for x in plan(made(name))] == [*KERNELS, "record", "recompute"]


def test_cells_that_were_never_seen() -> None:
    """Other shapes: two layers in one cell, a gate on the recurrent side, a state that is read within its step."""

    @cell(states="h c", gates="r z", weight_out="V")
    def strange(x, h, c, W, U, V, b, a, s, r, z):
        for q in (r, z):
            a[q][t, n] = Sum(W[q][n, j] * x[t, j], j) + Sum(U[q][n, k] * h[t - 1, k], k) + b[q][n]
        r[t, n] = sigmoid(a[r][t, n])
        z[t, n] = tanh(a[z][t, n])
        c[t, n] = r[t, n] * c[t - 1, n] + (1 - r[t, n]) * z[t, n]
        s[t, i] = tanh(Sum(V[i, m] * c[t, m], m))
        h[t, n] = tanh(c[t, n]) * s[t, n]

    found = model(strange)
    many = batch(found.adjoint)
    values = draw(many, SIZES)
    whole = reference.run(many, values, SIZES)
    for half in plan(found):
        if half.name == "loss":
            continue
        program = half.program
        inputs = {x: values[x] if x in values else whole[x] for x in program.inputs}
        result = reference.run(program, inputs, SIZES)
        for target in program.defined:
            if target in whole:
                assert relative(result[target], whole[target]) < 1e-13, (half.name, target)
    assert all(dim in (H, None) for x in plan(found) for s in x.loop_stages for dim in [s.dim])
    assert not any(e.rhs.has(sp.Sum) for x in plan(found) for s in x.loop_stages for e in s.pointwise)
    assert {ROW, B, T} <= {s for e in many.equations for s in e.rhs.free_symbols | e.rhs.atoms(sp.Symbol)}
