"""The verifiers below the program: each rule is broken on purpose, in a kernel that is right, and each break is seen."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from functools import cache

import pytest

from derive import ir, registry
from derive.backends.c.addresses import rows, steps
from derive.backends.c.kernel import Kernel
from derive.backends.c.kernel_verifier import verify_kernel
from derive.backends.c.schedule import plan
from derive.backends.shared.sizes import FIRST
from derive.errors import EngineError
from derive.notation import Sum, cell, j, k, n, t, tanh
from derive.passes.batch import batch
from derive.passes.lower import Lowered, Stage, verify_lowered
from derive.passes.storage import Place, Storage
from derive.passes.storage_verifier import verify_storage
from derive.pipeline import model
from derive.signature import argument_places


@cell(states="h s", weight_sh="A", weight_ss="D")
def chained(x, h, s, W, U, A, D):
    s[t, n] = tanh(Sum(W[n, j] * x[t, j], j) + Sum(D[n, k] * s[t - 1, k], k))
    h[t, n] = tanh(Sum(A[n, k] * s[t, k], k) + Sum(U[n, k] * h[t - 1, k], k))


CELLS = {"chained": chained, **{name: registry.cell(name) for name in ("lstm", "gru", "lstm_layernorm")}}


@cache
def kernel_of(name: str, which: str) -> Kernel:
    return next(x for x in plan(model(CELLS[name])) if x.name == which)


def _lowered(name: str, which: str) -> tuple[Lowered, Storage]:
    """A kernel before its plan is made."""
    found = next(k for k in model(CELLS[name]).kernels if k.name == which)
    return found.lowered, found.storage


def lowered(name: str, which: str) -> Lowered:
    return deepcopy(_lowered(name, which)[0])


def stored(name: str, which: str) -> tuple[Lowered, Storage]:
    own, storage = _lowered(name, which)
    return own, replace(storage, places=dict(storage.places))


@pytest.mark.parametrize("name", CELLS)
def test_what_the_passes_make_is_right(name: str) -> None:
    for which in ("infer", "forward", "backward", "record", "recompute", "loss"):
        own, storage = stored(name, which)
        assert verify_lowered(own) is own
        assert verify_storage(own, storage) is storage
        verify_kernel(kernel_of(name, which))


# -- lowered -----------------------------------------------------------------------------------------------------------


def looped(x: Lowered) -> list[Stage]:
    """The stages of all loops: their lists are those of the kernel."""
    return [s for loop in x.loops for s in loop.stages]


def late_product(x: Lowered) -> None:
    """The recurrence whose product another one reads, after the loop that reads it: what had been wrong first."""
    x.parts.reverse()


def dropped(x: Lowered) -> None:
    next(s for s in looped(x) if s.pointwise).pointwise.pop()


def twice(x: Lowered) -> None:
    stage = next(s for s in looped(x) if s.pointwise)
    stage.pointwise.append(stage.pointwise[0])


def backwards(x: Lowered) -> None:
    x.loops[0].stages[:] = reversed(x.loops[0].stages)


def other_order(x: Lowered) -> None:
    max(looped(x), key=lambda s: len(s.pointwise)).pointwise.reverse()


def other_operand(x: Lowered) -> None:
    stage = next(s for s in looped(x) if s.products)
    product = stage.products[0]
    pair = product.pairs[-1]
    wrong = replace(pair, operand=pair.operand.xreplace({t - 1: t, t + 1: t}))
    stage.products[0] = replace(product, pairs=(*product.pairs[:-1], wrong))


def a_pair_less(x: Lowered) -> None:
    for stage in looped(x):
        for number, product in enumerate(stage.products):
            if len(product.pairs) > 1:
                stage.products[number] = replace(product, pairs=product.pairs[:-1])
                return
    raise AssertionError


def known_carry(x: Lowered) -> None:
    stage = next(s for s in looped(x) if s.products)
    product = stage.products[0]
    stage.products[0] = replace(product, pairs=tuple(replace(p, hoistable=True) for p in product.pairs))


def other_units(x: Lowered) -> None:
    next(s for s in looped(x) if s.pointwise).space = (ir.dimension("Q"),)


def a_sum_among_pointwise(x: Lowered) -> None:
    stage = next(s for s in looped(x) if s.sums)
    stage.pointwise.append(stage.sums.pop())


def a_row_sum_in_its_stage(x: Lowered) -> None:
    first, second = next((a, b) for a, b in zip(looped(x), looped(x)[1:], strict=False) if a.sums and b.scalars)
    first.scalars += second.scalars
    second.scalars.clear()


def at_t_0(x: Lowered) -> None:
    """The forward value h(0) read by the step t = 0 of the adjoint, as if the loop reached it."""
    stage = next(s for s in x.edge if s.pointwise)
    state = next(n for n in x.program.tensors if n == "h")
    other = next(n for n, y in x.program.tensors.items() if y.role == "adjoint" and y.time == ir.STEPS)
    equation = stage.pointwise[0]
    access = x.program.tensors[other].at() * x.program.tensors[state].at()
    stage.pointwise[0] = replace(equation, rhs=equation.rhs + access)


def the_other_way(x: Lowered) -> None:
    x.direction = -x.direction


LOWERED: tuple[tuple[str, str, Callable[[Lowered], None], str], ...] = (
    ("chained", "forward", late_product, "made in part 2|known before the loop"),
    ("lstm", "forward", dropped, "no part of the kernel makes"),
    ("lstm", "forward", twice, "it is made twice"),
    ("lstm_layernorm", "forward", backwards, "not before it"),
    ("lstm", "backward", other_order, "not before it"),
    ("lstm", "forward", other_operand, "are not the sum|not before it"),
    ("lstm", "forward", a_pair_less, "are not the sum"),
    ("lstm", "forward", known_carry, "known before the loop"),
    ("lstm", "forward", other_units, "has units of"),
    ("lstm_layernorm", "forward", a_sum_among_pointwise, "holds a sum"),
    ("lstm_layernorm", "forward", a_row_sum_in_its_stage, "not before it|in the stage that adds it up"),
    ("gru", "backward", at_t_0, "at t = 0"),
    ("lstm", "forward", the_other_way, "before the loop over time comes to its step"),
)


@pytest.mark.parametrize(("name", "which", "damage", "words"), LOWERED, ids=[d.__name__ for _, _, d, _ in LOWERED])
def test_a_wrong_kernel_is_refused(name: str, which: str, damage: Callable[[Lowered], None], words: str) -> None:
    own = lowered(name, which)
    damage(own)
    with pytest.raises(EngineError, match=words):
        verify_lowered(own)


# -- storage -----------------------------------------------------------------------------------------------------------


def test_a_value_without_a_place_is_refused() -> None:
    own, storage = stored("lstm", "backward")
    name = next(e.target for s in looped(own) for e in s.pointwise)
    del storage.places[name]
    with pytest.raises(EngineError, match="it has no place"):
        verify_storage(own, storage)


@pytest.mark.parametrize("kind", ["local", "step"])
def test_a_register_that_another_step_reads_is_refused(kind: str) -> None:
    own, storage = stored("lstm", "backward")
    name = next(
        n for n, p in storage.places.items() if p.kind in ("swap", "chunk") and p.neighbour and n.startswith("carry")
    )
    storage.places[name] = replace(storage.places[name], kind=kind, array=f"{kind}_H")
    with pytest.raises(EngineError, match=r"stays in a local|a buffer of one step"):
        verify_storage(own, storage)


def test_a_ring_that_is_read_after_the_loop_is_refused() -> None:
    own, storage = stored("lstm", "backward")
    name = next(n for n, p in storage.places.items() if p.kind == "chunk")
    storage.places[name] = replace(storage.places[name], kind="swap", array="ring_alone", slot=0, slots=1)
    storage = replace(storage, regions=())
    with pytest.raises(EngineError, match="a buffer of two steps is read in phase 2"):
        verify_storage(own, storage)


def test_two_values_in_one_place_are_refused() -> None:
    own, storage = stored("lstm", "backward")
    one, other = [n for n, p in storage.places.items() if p.kind == "tape"][:2]
    storage.places[one] = storage.places[other]
    with pytest.raises(EngineError, match="has the same place"):
        verify_storage(own, storage)


def test_rows_of_different_length_in_one_buffer_are_refused() -> None:
    own, storage = stored("lstm", "backward")
    name = next(n for n, p in storage.places.items() if p.kind == "tape")
    storage.places[name] = replace(storage.places[name], slots=storage.places[name].slots + 1)
    with pytest.raises(EngineError, match="another length"):
        verify_storage(own, storage)


def test_stacked_weights_of_different_shape_are_refused() -> None:
    own, storage = stored("lstm", "forward")
    own = deepcopy(own)
    name = "W_f"
    own.program.tensors[name] = replace(own.program.tensors[name], dims=(ir.dimension("I"), ir.dimension("H")))
    with pytest.raises(EngineError, match=r"units of|another shape"):
        verify_storage(own, storage)


def test_a_state_without_its_initial_value_is_refused() -> None:
    own, storage = stored("lstm", "forward")
    storage.places["c"] = replace(storage.places["c"], initial="")
    with pytest.raises(EngineError, match="before the first step"):
        verify_storage(own, storage)


def test_a_saved_value_read_after_the_last_step_is_refused() -> None:
    """d_c[t+1]*f[t+1] in the step t, as the C had it once: the tape ends at T."""
    own, storage = stored("lstm", "backward")
    own = deepcopy(own)
    stage = next(s for s in looped(own) if s.pointwise)
    gate = own.program.tensors["f"]
    stage.pointwise[0] = replace(stage.pointwise[0], rhs=stage.pointwise[0].rhs * gate.at(t + 1))
    with pytest.raises(EngineError, match="after the last step"):
        verify_storage(own, storage)


# -- plans -------------------------------------------------------------------------------------------------------------


def test_an_address_is_spelled_from_what_is_verified() -> None:
    H = ir.dimension("H")
    chunk = Place("chunk", "chunk_H", 1, 4, H, True, "", True)
    found = rows(chunk, 1)
    assert found.at(t) == "w.chunk_H + (t + 1 - first) * B * 4 * H + H" and found.towards == "(ptrdiff_t)(B * 4 * H)"
    assert (str(found.lowest), str(found.highest)) == ("first - 1", "first + steps - 1")
    assert rows(chunk, -1).at(FIRST) == "w.chunk_H + H"
    tape = replace(chunk, kind="tape", array="tape_H", initial="h_0")
    assert rows(tape, 1).at(t) == "tape_H + (t - 1) * B * 4 * H + H"
    address, stride = rows(tape, 1).read(t, -1)
    assert address == "t > 1 ? tape_H + (t - 2) * B * 4 * H + H : a->h_0" and stride == "t > 1 ? 4 * H : H"
    assert rows(tape, 1).read(ir.T - ir.T, -1) == ("a->h_0", "H"), "at t = 0"
    back = rows(tape, 1, mirrored=True)
    assert back.at(t) == "tape_H + (T - t) * B * 4 * H + H" and back.towards == "-(ptrdiff_t)(B * 4 * H)"
    assert (str(back.lowest), str(back.highest)) == ("1", "T")
    assert steps(rows(tape, 1), -1).initial == "first > 1 ? NULL : a->h_0"
    turns = rows(replace(chunk, kind="swap", array="swap_H"), 1)
    assert turns.count is None and turns.at(t + 1) == "w.swap_H + ((t + 1) & 1) * B * 4 * H + H"


def damaged(name: str, which: str, change: Callable[[Kernel], None]) -> Kernel:
    own = deepcopy(kernel_of(name, which))
    change(own)
    return own


def edge_reads_the_step_before_the_first(x: Kernel) -> None:
    """h[0] by its address in `out`, at t = 0: in front of the array."""
    where = replace(
        x.loop_stages[0].loads[0], place=Place("arg", "out", 0, 1, ir.dimension("H"), True, "h_0"), offset=0
    )
    x.edge[0].loads.append(where)


def a_read_before_the_first(x: Kernel) -> None:
    index = next(p for p, f in enumerate(x.loop_stages[0].loads) if f.offset < 0)
    f = x.loop_stages[0].loads[index]
    x.loop_stages[0].loads[index] = replace(f, place=replace(f.place, initial=""))


def a_read_behind_the_last(x: Kernel) -> None:
    index, f = next((p, f) for p, f in enumerate(x.loop_stages[0].loads) if f.place.kind == "tape")
    x.loop_stages[0].loads[index] = replace(f, offset=1)


def a_chunk_without_room(x: Kernel) -> None:
    for stage in x.loop_stages:
        for number, s in enumerate(stage.tile.segments if stage.tile else ()):
            if s.offset and s.operand.kind == "chunk":
                other = replace(s, operand=replace(s.operand, neighbour=False))
                segments = (*stage.tile.segments[:number], other, *stage.tile.segments[number + 1 :])
                stage.tile = replace(stage.tile, segments=segments)
                return
    raise AssertionError


def a_gate_too_far(x: Kernel) -> None:
    tile = x.loop_stages[0].tile
    assert tile is not None
    first = tile.segments[0]
    weights = tuple(w and replace(w, place=replace(w.place, slot=w.place.slot + 1)) for w in first.weights)
    x.loop_stages[0].tile = replace(tile, segments=(replace(first, weights=weights), *tile.segments[1:]))


def a_gradient_too_long(x: Kernel) -> None:
    x.reduces[0] = replace(x.reduces[0], place=replace(x.reduces[0].place, slot=x.reduces[0].place.slot + 1))


def a_row_too_long(x: Kernel) -> None:
    gemms = next(r.gemms for r in reversed(x.phases) if r.gemms)
    gemms[0] = replace(gemms[0], k=gemms[0].k + ir.dimension("H"))


def a_column_that_is_never_set(x: Kernel) -> None:
    stage = next(s for s in x.loop_stages if s.tile and s.tile.carried)
    assert stage.tile is not None
    runs = tuple(replace(r, start="tile") if r in stage.tile.carried else r for r in stage.tile.runs)
    stage.tile = replace(stage.tile, runs=runs)


def a_product_that_a_tile_lacks(x: Kernel) -> None:
    stage = next(s for s in x.loop_stages if s.tile and len(s.tile.runs) > 1)
    assert stage.tile is not None
    stage.tile = replace(stage.tile, runs=stage.tile.runs[:-1])


PLANS: tuple[tuple[str, str, Callable[[Kernel], None], str], ...] = (
    ("gru", "backward", edge_reads_the_step_before_the_first, "out starts at 1, and step 0"),
    ("gru", "backward", a_read_before_the_first, "starts at 1, and step first - 1"),
    ("lstm", "backward", a_read_behind_the_last, "ends at T, and step first \\+ steps"),
    ("gru", "backward", a_chunk_without_room, "ends at first \\+ steps - 1"),
    ("lstm", "forward", a_gate_too_far, "weight_[ih]h ends at"),
    ("lstm", "backward", a_gradient_too_long, "d_weight_ih ends at"),
    ("lstm", "backward", a_column_that_is_never_set, "is added to before it is set"),
    ("lstm", "forward", a_product_that_a_tile_lacks, "is not the sum of its products"),
    ("lstm", "backward", a_row_too_long, "a row of chunk_H ends at|weight_ih ends at"),
)


@pytest.mark.parametrize(("name", "which", "damage", "words"), PLANS, ids=[d.__name__ for _, _, d, _ in PLANS])
def test_an_address_outside_of_its_buffer_is_refused(
    name: str, which: str, damage: Callable[[Kernel], None], words: str
) -> None:
    with pytest.raises(EngineError, match=words):
        verify_kernel(damaged(name, which, damage))


def test_arguments_are_those_of_the_whole_program() -> None:
    """A kernel that reads some gates of a family only finds them in the array where all are stacked."""

    @cell(states="h", gates="f g")
    def half_used(x, h, W, f, g, unused):
        f[t, n] = tanh(Sum(W[f][n, j] * x[t, j], j))
        g[t, n] = tanh(Sum(W[g][n, j] * x[t, j], j))
        h[t, n] = f[t, n] + h[t - 1, n] / 2
        unused[t, n] = g[t, n] * h[t, n]

    made = model(half_used)
    arguments = argument_places(batch(made.adjoint))
    infer = next(x for x in plan(made) if x.name == "infer")
    assert "W_g" not in infer.program.tensors
    assert infer.storage.places["W_f"] == arguments["W_f"] and arguments["W_f"].array == "weight_ih"
    assert arguments["W_f"].slots == 2
