"""The cost report counts what the equations say, what the compiled C asks for, and what a machine cannot be faster than."""

import json
import re
from math import prod

import numpy as np
import pytest
import sympy as sp
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sympy.tensor.indexed import Indexed

import derive
from derive import ir, registry
from derive.backends.shared.printer import F32, F64
from derive.costs.count import cost
from derive.costs.machine import Machine
from derive.errors import DeriveError
from derive.pipeline import model

CELLS = tuple(registry.shipped())
SIZE = st.integers(1, 70)


def sizes_of(cell, **given):
    return {n: given.get(n, 3) for n in ("T", "B", *model(registry.cell(cell)).meta["dims"])}


# -- flop --------------------------------------------------------------------------------------------------------------


FORMULAS = {"rnn": (2, 6), "gru": (6, 18), "lstm": (8, 24), "lstm_peephole": (8, 24), "lstm_layernorm": (8, 24)}


@pytest.mark.parametrize(("cell", "factors"), FORMULAS.items())
@given(T=SIZE, B=SIZE, I=SIZE, H=SIZE)
@settings(max_examples=20, deadline=None)
def test_flop_of_the_known_cells(cell, factors, T, B, I, H):
    for call, factor in zip(("infer", "training"), factors, strict=True):
        assert derive.cost(cell, call=call, T=T, B=B, I=I, H=H).flop == factor * T * B * H * (H + I)


def counted_in_the_adjoint(cell, sizes):
    """Multiply-adds of all matrix products of the derived program for one sequence, before lowering; times the batch."""
    program = model(registry.cell(cell)).adjoint
    total = 0
    for equation in program.equations:
        target = program.tensors[equation.target]
        for found in equation.rhs.atoms(sp.Sum):
            factors = found.function.atoms(Indexed)
            ranks = [len(ir.indices_of(f, program.tensors)) for f in factors]
            if 2 not in ranks and len(target.dims) != 2:
                continue  # a sum over units or over time, not a product with a matrix
            extents = [prod(sizes[str(d)] for d in target.dims)]
            extents += [sizes[str(hi)] for symbol, _, hi in found.limits]
            if target.time is not None:
                lives = [
                    (program.tensors[ir.name_of(f)].time, ir.offset(ir.time_of(f, program.tensors))) for f in factors
                ]
                steps = [s for s in range(sizes["T"] + 1) if inside(s, target.time, sizes)]
                extents.append(
                    sum(all(life is None or inside(s + by, life, sizes) for life, by in lives) for s in steps)
                )
            total += prod(extents)
    return 2 * total * sizes["B"]


def inside(when, life, sizes):
    lo, hi = (int(sp.sympify(x).subs(ir.T, sizes["T"])) for x in life)
    return lo <= when <= hi


@pytest.mark.parametrize("cell", CELLS)
def test_flop_as_the_adjoint_has_them(cell):
    for numbers in (
        {"T": 5, "B": 2, "I": 3, "H": 7},
        {"T": 1, "B": 1, "I": 1, "H": 1},
        {"T": 9, "B": 4, "I": 11, "H": 2},
    ):
        sizes = sizes_of(cell, **numbers)
        assert cost(registry.cell(cell), sizes).flop == counted_in_the_adjoint(cell, sizes)


def test_operations_of_the_lstm():
    """By hand: four gates and tanh c; f*c + i*g and o*tanh(c)."""
    found = derive.cost("lstm", call="infer", T=2, B=3, I=1, H=5).phases[0].pointwise
    units = 2 * 3 * 5
    assert (found.calls, found.multiplications) == (5 * units, 3 * units)
    assert found.additions >= 5 * units  # four biases, one in c, and W x + U h where a product does not take it in
    backward = derive.cost("lstm", T=2, B=3, I=1, H=5).phases[2].pointwise
    counts = model(registry.cell("lstm")).counts[-1]
    assert backward.calls == 0
    # The edge, t = 0, multiplies nothing; the bias gradients add once for each gate.
    assert backward.multiplications == counts.multiplications * units


# -- memory ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=CELLS)
def compiled(request):
    return request.param, pytest.importorskip(f"derive.generated.{request.param}")._kernels


def test_memory_is_what_the_compiled_cell_asks_for(compiled):
    """Tape and workspace, byte for byte, for every instruction set that runs here."""
    cell, kernels = compiled
    dims = model(registry.cell(cell)).meta["dims"]
    names = ["base", "avx2", "avx512"][: getattr(kernels.lib, f"{cell}_isa")()]

    @given(st.tuples(SIZE, SIZE, *(SIZE for _ in dims)), st.sampled_from(names), st.sampled_from((F32, F64)))
    @example((64 * 256, 1, *(3 for _ in dims)), names[-1], F32)
    @example((64 * 256 + 1, 1, *(3 for _ in dims)), names[-1], F32)  # one more block of rows than are added at a time
    @example((1, 64 * 256 + 1, *(3 for _ in dims)), names[-1], F64)
    @settings(max_examples=30, deadline=None)
    def same(numbers, isa, real):
        sizes = dict(zip(("T", "B", *dims), numbers, strict=True))
        dtype = np.dtype(real.dtype).name
        args, said = kernels.ffi.new(f"{cell}_{real.tag}_args *"), kernels.ffi.new(f"{cell}_sizes *")
        for name, value in (*sizes.items(), ("isa", names.index(isa) + 1)):
            setattr(args, name, value)
        assert getattr(kernels.lib, f"{cell}_{real.tag}_sizes")(args, said) == 0
        machine = Machine.of(isa, dtype)
        training = cost(registry.cell(cell), sizes, dtype=dtype, machine=machine)
        infer = cost(registry.cell(cell), sizes, dtype=dtype, machine=machine, call="infer")
        assert training.tape == said.tape and infer.tape == 0
        assert (training.workspace, infer.workspace) == (said.loss_and_grad, said.infer)
        assert [p.workspace for p in training.phases if p.name != "loss"] == [said.forward, said.backward]

    same()


def test_bytes_of_the_lstm():
    T, B, I, H = 5, 2, 3, 7
    found = derive.cost("lstm", T=T, B=B, I=I, H=H)
    weights = 4 * H * (I + H + 1)
    forward = T * B * (I + H) + weights + 4 * B * H + 6 * T * B * H  # x, out, parameters, both states twice, tape
    assert found.phases[0].bytes == 4 * forward
    assert found.parameters == 4 * weights
    assert found.phases[0].weights == 4 * 4 * H * H


# -- bounds ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", CELLS)
@given(data=st.data())
@settings(max_examples=15, deadline=None)
def test_more_steps_or_sequences_never_cost_less(cell, data):
    sizes = {n: data.draw(SIZE, n) for n in sizes_of(cell)}
    small = cost(registry.cell(cell), sizes)
    for name in ("T", "B"):
        large = cost(registry.cell(cell), {**sizes, name: sizes[name] + data.draw(st.integers(1, 50))})
        assert large.flop > small.flop
        if large.schedule.inputs == small.schedule.inputs:  # a bound belongs to what is done
            assert large.cycles >= small.cycles
        assert large.tape >= small.tape


def test_the_bound_of_a_step():
    """max(8BHK/P, (4HKs - C)/BW, latency) with K = H where W x is made before the loop, and H + I in it."""
    machine = Machine.of("avx2", peak=32, bandwidth=(64, 32, 16, 8), caches=(32 << 10, 1 << 20, 32 << 20))
    T, B, I, H = 7, 40, 3, 200
    found = derive.cost("lstm", call="infer", T=T, B=B, I=I, H=H, machine=machine)
    K = H if found.schedule.inputs == "hoisted" else H + I
    step = {bound.why: bound for bound in found.phases[0].step}
    assert step["compute"].cycles == pytest.approx((8 * B * H * K + 2 * found.phases[0].pointwise.slots / T) / 32)
    assert (step["weights"].cycles, step["weights"].level) == ((4 * H * K * 4 - (32 << 10)) / 32, "L2")
    assert found.phases[0].binding == "compute"
    one = derive.cost("lstm", call="infer", T=7, B=1, I=3, H=512, machine=machine)
    assert one.phases[0].binding == "weights (L3)"
    few = derive.cost("lstm", call="infer", T=7, B=1, I=3, H=4, machine=machine)
    assert few.phases[0].binding == "latency"


@pytest.mark.parametrize(
    ("size", "threads", "cycles", "level"),
    [
        (100, 1, 100 / 64, "L1"),
        (3000, 1, 2000 / 32, "L2"),
        (1100, 1, 1100 / 64, "L1"),  # what little L2 brings takes less time than L1 itself
        (9000, 1, 8000 / 32, "L2"),
        (30000, 1, 20000 / 16, "L3"),
        (30000, 2, 14000 / 32, "L2"),
        (200000, 1, 100000 / 8, "DRAM"),
        (120000, 2, (60000 - 10000) / 16, "L3"),
    ],
)
def test_what_was_read_last_need_not_come_from_far(size, threads, cycles, level):
    machine = Machine.of("avx2", bandwidth=(64, 32, 16, 8), caches=(1000, 10000, 100000))
    assert machine.reading_again(size, threads) == (pytest.approx(cycles), level)


def test_the_chain_of_a_step():
    """By hand, for the RNN: H/4 multiply-adds, two additions, tanh with its polynomial."""
    machine = Machine.of("avx2")
    made = derive.cost("rnn", call="infer", T=9, B=1, I=1, H=64, machine=machine)
    latency = next(b.cycles for b in made.phases[0].step if b.why == "latency") / machine.latency
    assert 64 / 4 + 8 <= latency <= 64 / 4 + 16
    double = derive.cost("rnn", call="infer", T=9, B=1, I=1, H=128, machine=machine)
    more = next(b.cycles for b in double.phases[0].step if b.why == "latency") / machine.latency
    assert more - latency == 64 / 4


def test_machines():
    slow = derive.cost("lstm", T=20, B=32, I=8, H=64, machine=Machine.of("avx2", peak=4))
    fast = derive.cost("lstm", T=20, B=32, I=8, H=64, machine=Machine.of("avx2", peak=32, clock=2))
    assert slow.cycles > fast.cycles
    assert slow.seconds(1) is None
    assert fast.seconds(2e9) == 1
    assert Machine.of("avx2", "float64").peak == Machine.of("avx2").peak / 2
    for wrong in ({"isa": "sse9"}, {"peak": 0}, {"clock": -1}, {"bandwidth": (1, 2)}, {"caches": (1, 0, 2)}):
        with pytest.raises(DeriveError):
            Machine.of(**wrong)


def test_threads():
    one = derive.cost("lstm", T=50, B=64, I=128, H=128)
    two = derive.cost("lstm", T=50, B=64, I=128, H=128, threads=2)
    assert (one.schedule.split, one.schedule.threads) == ("one", 1)
    assert two.schedule.threads == 2
    assert two.flop == one.flop
    assert one.cycles / 2 <= two.cycles < 0.7 * one.cycles


# -- records and errors ------------------------------------------------------------------------------------------------


def test_json():
    found = derive.cost("lstm_readout", T=5, B=2, I=3, H=7, O=2, machine=Machine.of("avx2", clock=3.0)).as_dict()
    again = json.loads(json.dumps(found))
    assert again == json.loads(json.dumps(found, allow_nan=False))
    assert set(again) == {
        *("cell", "call", "dtype", "sizes", "machine", "schedule", "phases", "parameters", "tape", "workspace"),
        *("flop", "cycles", "seconds"),
    }
    assert [p["name"] for p in again["phases"]] == ["forward", "loss", "backward"]
    assert sum(p["cycles"] for p in again["phases"]) == pytest.approx(again["cycles"])
    assert sum(line["flop"] for p in again["phases"] for line in p["products"]) == again["flop"]
    assert again["seconds"] == pytest.approx(again["cycles"] / 3e9)
    assert again["sizes"] == {"T": 5, "B": 2, "I": 3, "H": 7, "O": 2}


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        ({"T": 5, "B": 2, "I": 3}, "lstm needs the sizes T, B, I, H; not given: H"),
        ({"T": 5, "B": 2, "I": 3, "H": 4, "O": 2}, "unknown: O=2"),
        ({"T": 0, "B": 2, "I": 3, "H": 4}, "not a whole number from 1 on: T=0"),
        ({"T": 5, "B": 2.5, "I": 3, "H": -4}, "not a whole number from 1 on: B=2.5, H=-4"),
        ({"T": True, "B": 2, "I": 3, "H": 4}, "not a whole number from 1 on: T=True"),
    ],
)
def test_bad_sizes(sizes, words):
    with pytest.raises(DeriveError, match=re.escape(words)):
        derive.cost("lstm", **sizes)


def test_other_errors():
    with pytest.raises(DeriveError, match="no cell named 'lstmm'"):
        derive.cost("lstmm", T=1, B=1, I=1, H=1)
    for wrong in ({"dtype": "float16"}, {"call": "train"}, {"threads": 0}):
        with pytest.raises(DeriveError, match=next(iter(wrong))):
            derive.cost("lstm", T=1, B=1, I=1, H=1, **wrong)
