"""The plain backend: scalar C of every cell, forwards and backwards, against its equations."""

from __future__ import annotations

import ctypes
import re
import textwrap

import numpy as np
import pytest
from c_tools import CELLS, MATH, compilers, need, run
from plain_m4f import M4F, built, given, instructions, results, step_bytes
from plain_tools import HEAD, STRICT, TYPES, Library, case, cell_of, compare, oracle, the_input
from targets import host, tools

from derive import backends, registry
from derive.backends import base
from derive.errors import DeriveError
from derive.ir import functions
from derive.passes.lower import Phase
from derive.pipeline import model
from derive.verify.problem import without_states
from tests.cases.spaces import SPACES

SAMPLE = (
    "two layers",
    "two inputs",
    "Greek letters",
    "the output is called x and the input out",
    "gates of two sizes",
    "indices of SymPy, and a size that is a word of C",
    "numbers of every kind",
    "sizes in formulas",
    "a product of two numbers of a row beside a vector",
    "states in another order, one of them read at t alone",
    "a constant",
    "an output that does not depend on the input",
    "suggested: a state of size one",
    "suggested: an input and a state kept for a step more",
    "suggested: max by relu, and a power by its logarithm",
    "a gate without the input beside one with it",
    "three sums of two operands each",
    "a matrix read both ways, backwards beside another",
    "a logarithm whose draws are mostly NaN",
    "the hundredth power of what may be negative",
    "fractions whose halves no float32 holds",
    "a softmax over units, a cumulative sum, positions of units",
)
LONGEST = 4


def made(name, **options):
    """The files of a cell of small sizes, all different."""
    cell = model(cell_of(name))
    sizes = {d: n for n, d in enumerate(cell.meta["dims"], 3)}
    return backends.named("plain").files(cell, **{"sizes": sizes, "T": LONGEST, "name": "cell", **options})


def written(folder, name, **options):
    for file, text in made(name, **options).items():
        (folder / file).write_text(text)
    return folder / "cell.c"


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """(cell, type, flags) -> its library for calls of up to LONGEST steps; compiled once."""
    kept = {}

    def built(name, real, *flags):
        if (name, real, flags) not in kept:
            folder = tmp_path_factory.mktemp("plain")
            kept[name, real, flags] = Library(name, real, case(name, 1)[0], LONGEST, folder, *flags)
        return kept[name, real, flags]

    return built


# -- numbers -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("real", TYPES)
@pytest.mark.parametrize("name", [*CELLS, *SAMPLE, *SPACES])
def test_every_result_is_right(library, name, real):
    """Outputs, states, the loss and all gradients, of one step and of several, from states that are not zero."""
    for steps in (1, 3, LONGEST):
        _, problem, expected = case(name, steps)
        compare(library(name, real).results(problem, oracle(name).places), expected, real)


def weights_and_state(own, name, steps):
    _, problem, _ = case(name, steps)
    places = oracle(name).places
    weights = own.joined(places.gather(problem.values), own.params)
    first = own.joined({s: problem.values[i] for s, i in places.initial.items()}, own.states)
    return problem, places, weights, first


@pytest.mark.parametrize("name", [*CELLS, "two layers", "suggested: an input and a state kept for a step more"])
def test_steps_one_by_one_are_the_forward_pass(library, name):
    """To the bit, with the state updated in place."""
    own = library(name, "float")
    problem, places, weights, first = weights_and_state(own, name, LONGEST)
    wanted = own.results(problem, places)
    last = own.joined({s: wanted[f"{s}_T"] for s in own.states}, own.states)
    for one_by_one in (True, False):
        out, state = own.infer(weights, first, problem.values[the_input(places)][0], one_by_one)
        np.testing.assert_array_equal(out, wanted["out"][:, 0])
        np.testing.assert_array_equal(state, last)


@pytest.mark.parametrize("name", ["lstm", "lstm_layernorm", "gru"])
def test_null_stands_for_zeros_and_for_what_is_not_wanted(library, name):
    own = library(name, "double")
    _, problem, _ = case(name, 3)
    places = oracle(name).places
    problem = without_states(problem, list(places.initial.values()))
    wanted = own.results(problem, places)
    arrays = {
        "weights": own.joined(places.gather(problem.values), own.params),
        "x": np.ascontiguousarray(problem.values[the_input(places)][0]),
        "out": own.empty(3, own.width("output")),
        "tape": own.empty(own.tape),
        "d_out": np.ascontiguousarray(problem.d_out[0]),
        "d_weights": own.empty(sum(int(np.prod(s)) for s in own.params.values())),
        "d_first": own.empty(sum(n for (n,) in own.states.values())),
    }
    nothing = {"first": None, "last": None, "d_last": None, "d_x": None}
    assert own.call("forward", 3, **arrays, **nothing) == 0
    assert own.call("backward", 3, **arrays, **nothing) == 0
    np.testing.assert_array_equal(arrays["out"], wanted["out"][:, 0])
    for kind, shapes in (("d_weights", own.params), ("d_first", own.states)):
        for key, array in own.apart(arrays[kind], shapes).items():
            title = f"backward {key}{'0' if kind == 'd_first' else ''}"
            np.testing.assert_array_equal(array, wanted[title].reshape(array.shape), err_msg=title)


def test_too_many_steps_and_none_are_refused_and_nothing_is_written(library):
    own = library("rnn", "float")
    _, _, weights, first = weights_and_state(own, "rnn", LONGEST)
    x = np.zeros((LONGEST + 1, own.width("input")), np.float32)
    for steps in (0, LONGEST + 1):
        kept = {n: own.empty(200) for n in ("out", "last", "tape", "loss", "d_out", "d_weights", "d_first", "d_x")}
        for call in ("forward", "loss", "backward", "loss_and_grad"):
            assert own.call(call, steps, weights=weights, first=first, x=x, y=x, **kept) == 1
        assert all(np.isnan(a).all() for a in kept.values())


@pytest.mark.parametrize("name", ["lstm_layernorm", "two layers"])
def test_buffers_of_the_linker_give_the_same_bits(library, name):
    """Twice each, so that what an earlier call left in them shows."""
    places = oracle(name).places
    for steps in (LONGEST, 1, 3):
        problem = case(name, steps)[1]
        wanted = library(name, "float").results(problem, places)
        found = library(name, "float", "-DCELL_BUFFERS=static").results(problem, places)
        for key, array in wanted.items():
            np.testing.assert_array_equal(found[key], array, err_msg=key)


FUNCTIONS = """
#include "cell.c"
void call(const cell_real *x, cell_real *y, size_t count);
void call(const cell_real *x, cell_real *y, size_t count) { for (size_t k = 0; k < count; ++k) y[k] = scalar_@F@(x[k]); }
"""
CELL_OF = """
    @cell(states="h")
    def mine(x, h, W):
        h[t, n] = @F@(Sum(W[n, j] * x[t, j], j)) + h[t - 1, n] / 2
"""


@pytest.mark.parametrize("real", TYPES)
@pytest.mark.parametrize("name", [r.c for r in functions.RECORDS if len(r.arguments) == 1])
def test_functions_are_as_accurate_as_their_records_say(name, real, tmp_path):
    """Of numbers of all sizes; NaN and infinities go through, zeros keep their sign."""
    record = next(r for r in functions.RECORDS if r.c == name)
    shown = {"absolute": "abs", "step": "relu", "signum": "sign"}.get(name, name)
    space: dict = {"__name__": "cells"}
    exec(HEAD + textwrap.dedent(CELL_OF.replace("@F@", shown)), space)
    files = backends.named("plain").files(model(space["mine"]), {"I": 2, "H": 3}, 1, real, "cell")
    for file, text in files.items():
        (tmp_path / file).write_text(text)
    (tmp_path / "more.c").write_text(FUNCTIONS.replace("@F@", name))
    run("gcc", "-std=c99", "-O2", *MATH, "-shared", "-fPIC", tmp_path / "more.c", "-o", tmp_path / "it.so", "-lm")
    dtype, rng = TYPES[real], np.random.default_rng(1)
    info = np.finfo(dtype)
    special = [
        0.0,
        -0.0,
        1,
        -1,
        1e-30,
        -1e-30,
        20,
        -20,
        80,
        -80,
        88.8,
        -88.8,
        709.9,
        -709.9,
        1e30,
        -1e30,
        np.inf,
        -np.inf,
    ]
    x = np.concatenate([special, [np.nan], rng.normal(size=2000) * 10.0 ** rng.uniform(-6, 2, 2000)]).astype(dtype)
    y = np.full_like(x, 7)
    where = (ctypes.c_void_p(x.ctypes.data), ctypes.c_void_p(y.ctypes.data), ctypes.c_size_t(len(x)))
    ctypes.CDLL(str(tmp_path / "it.so")).call(*where)
    with np.errstate(all="ignore"):
        wanted = record.numpy(x.astype(np.longdouble))
        usual = np.isfinite(wanted) & (np.abs(wanted) > info.tiny) & (np.abs(wanted) < info.max)
        units = np.abs(y - wanted)[usual] / np.spacing(np.abs(wanted[usual]).astype(dtype))
        assert units.max() <= max(record.ulp, 1), f"{units.max()} ulp at {x[usual][units.argmax()]!r}"
        assert usual.sum() > 500
        np.testing.assert_array_equal(np.isnan(y), np.isnan(wanted))
        rest = ~usual & ~np.isnan(wanted)
        np.testing.assert_allclose(y[rest], wanted[rest].astype(dtype), rtol=0, atol=2 * info.tiny)
    if name == "tanh":
        np.testing.assert_array_equal(np.signbit(y[:2]), [False, True])


# -- C -----------------------------------------------------------------------------------------------------------------

STANDARDS = {"c99": ("-std=c99",), "c11": ("-std=c11",), "c++11": ("-x", "c++", "-std=c++11")}


@pytest.mark.parametrize("compiler", compilers())
@pytest.mark.parametrize("name", [*CELLS, *SAMPLE, *SPACES])
def test_it_compiles_without_a_warning(compiler, name, tmp_path):
    """As C99, as C11 where sizes are asserted, and as C++, in turns."""
    number = [*CELLS, *SAMPLE, *SPACES].index(name)
    code = written(tmp_path, name, real=list(TYPES)[number % 2])
    standard = list(STANDARDS)[(number + (compiler == "clang")) % 3]
    level = "-Os" if standard == "c99" or number % 2 else "-O2"
    driver = {"gcc": "g++", "clang": "clang++"}[compiler] if standard == "c++11" else compiler
    run(need(driver), *STANDARDS[standard], level, *STRICT, "-c", code, "-o", tmp_path / "cell.o")


def test_the_sizes_in_the_header_are_those_of_the_structs(tmp_path):
    """A macro that is wrong does not compile: each is asserted."""
    code = written(tmp_path, "lstm_layernorm")
    header = (tmp_path / "cell.h").read_text()
    for macro in ("WEIGHTS", "STATE", "TAPE", "STEP", "BACKWARD"):
        broken = re.sub(rf"(#define CELL_{macro}_BYTES \()", r"\g<1>1 + ", header)
        assert broken != header
        (tmp_path / "cell.h").write_text(broken)
        with pytest.raises(AssertionError, match="static assertion failed"):
            run("gcc", "-std=c11", "-c", code, "-o", tmp_path / "cell.o")


def test_what_an_lstm_of_16_units_needs(tmp_path):
    """The figures of docs/backends.md that no processor changes."""
    made_by = backends.named("plain").files(model(registry.cell("lstm")), sizes={"I": 1, "H": 16}, T=64)
    for file, text in made_by.items():
        (tmp_path / file).write_text(text)
    lines = [f"LSTM_{m}_BYTES" for m in ("WEIGHTS", "STATE", "STEP", "TAPE", "TRAIN")]
    shown = ", ".join(f"(unsigned)({m})" for m in lines)
    words = (
        '#include "lstm.h"\n#include <stdio.h>\n'
        + f'int main(void) {{ printf("%u %u %u %u %u", {shown}); return 0; }}\n'
    )
    (tmp_path / "ask.c").write_text(words)
    run("gcc", "-std=c99", tmp_path / "ask.c", "-o", tmp_path / "ask")
    assert run(tmp_path / "ask").split() == ["4608", "128", "64", "24576", "38276"]


TRAIN = """
#include "cell.h"
static cell_args args;
static cell_weights weights, d_weights;
static cell_state first, last, d_first;
static cell_tape tape;
static cell_real x[CELL_STEPS][WX], y[CELL_STEPS][WY], out[CELL_STEPS][WO], d_out[CELL_STEPS][WO], d_x[CELL_STEPS][WX], loss;

/* Arrays that are as long as they have to be, of numbers that are not zero. */
int main(void)
{
    for (size_t k = 0; k < sizeof weights / sizeof loss; ++k) ((cell_real *)(void *)&weights)[k] = (cell_real)(k % 7) / 8;
    for (size_t k = 0; k < sizeof x / sizeof loss; ++k) x[k / WX][k % WX] = (cell_real)(k % 5) / 4;
    args.weights = &weights, args.first = &first, args.last = &last, args.tape = &tape, args.loss = &loss;
    args.x = x[0], args.y = y[0], args.out = out[0], args.d_out = d_out[0];
    args.d_weights = &d_weights, args.d_first = &d_first, args.d_x = d_x[0];
    for (args.steps = 1; args.steps <= CELL_STEPS; ++args.steps)
        if (cell_loss_and_grad(&args) || !(loss - loss == 0)) return 1;
    for (size_t t = 0; t < CELL_STEPS; ++t) cell_step(&weights, &first, x[t], out[t]);
    return 0;
}
"""


@pytest.mark.parametrize(
    "name", ["lstm_layernorm", "two layers", "suggested: an input and a state kept for a step more"]
)
def test_sanitizers_find_nothing(name, tmp_path):
    meta = model(cell_of(name)).meta
    widths = {"WX": meta["inputs"]["x"], "WY": meta["targets"]["y"], "WO": meta["output"][1]}
    code = written(tmp_path, name)
    (tmp_path / "main.c").write_text(TRAIN)
    macros = [f"-D{macro}=CELL_{dim}" for macro, dim in widths.items()]
    flags = ("-std=c99", "-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
    run("gcc", *flags, *macros, code, tmp_path / "main.c", "-o", tmp_path / "it", "-lm")
    run(tmp_path / "it")


@pytest.mark.parametrize("name", CELLS)
def test_float_asks_a_processor_without_a_floating_point_unit_for_single_precision_alone(name, tmp_path):
    target = tools("m0plus")
    code = written(tmp_path, name)
    run(target.compiler, "-std=c99", "-Os", *MATH, *target.flags, "-c", code, "-o", tmp_path / "made.o")
    used = set(run(need("arm-none-eabi-nm"), "-u", tmp_path / "made.o").split()) - {"U"}
    single = re.compile(r"__aeabi_(f(?!2d)\w+|c?fcmp\w+|u?i2f|ui2f|u?idiv(mod)?|l\w+)")
    assert {u for u in used if not single.fullmatch(u)} <= {"memcpy", "memset", "sqrtf"}


# -- on a Cortex-M4F ---------------------------------------------------------------------------------------------------


def test_a_step_on_a_cortex_m4f_has_the_bits_of_this_processor(tmp_path):
    tools("m4f")
    data = given(16, 50)
    found = [
        results(target, built(target, 16, 50, tmp_path / name, level), data, 50)
        for name, target, level in (("m4f", M4F, "-Os"), ("host", host(), "-O2"))
    ]
    assert np.isfinite(found[0]).all() and np.ptp(found[0]) > 0.5
    np.testing.assert_array_equal(*found)


# What docs/backends.md says, with a tenth more for other versions of the compiler.
BYTES, INSTRUCTIONS = 700, {8: 3236, 16: 7877}


@pytest.mark.parametrize("units", INSTRUCTIONS)
def test_a_step_is_short_on_a_cortex_m4f(units, tmp_path):
    tools("m4f")
    made = built(M4F, units, 2, tmp_path, "-Os")
    assert 100 < step_bytes(tmp_path) <= 1.1 * BYTES
    assert 1000 < instructions(made, units, 2) <= 1.1 * INSTRUCTIONS[units]


# -- the seam ----------------------------------------------------------------------------------------------------------


def test_the_page_names_every_place_and_product_that_there_is():
    products, places = set(), set()
    for name in [*CELLS, *SAMPLE, *SPACES]:
        for kernel in model(cell_of(name)).kernels:
            lowered, storage = kernel.lowered, kernel.storage
            found = [p for part in lowered.parts if isinstance(part, Phase) for p in part.products]
            found += [p for s in [*lowered.stages, *lowered.edge] for p in s.products]
            products |= {p.kind for p in found}
            places |= {p.kind for p in [*storage.places.values(), *storage.edge.values()]}
    assert products == set(base.PRODUCTS)
    assert places == set(base.PLACES)


def test_backends_are_found_by_name():
    assert [backends.named(n).name for n in ("c", "plain")] == ["c", "plain"]
    code = backends.named("c").files(model(registry.cell("rnn")))
    assert {n for n in code if n.endswith(".h")} >= {"rnn.h"}
    with pytest.raises(DeriveError, match="no backend named 'cuda'; there are: c, plain"):
        backends.named("cuda")


WRONG = {
    "missing": ({"sizes": {"I": 1}}, "the size H is missing: lstm has the sizes I, H; give each a positive number"),
    "unknown": ({"sizes": {"I": 1, "H": 2, "K": 3}}, "there is no size K: lstm has the sizes I, H"),
    "zero": ({"sizes": {"I": 0, "H": 2}}, "the size I is 0: lstm has the sizes I, H"),
    "a word": ({"sizes": {"I": 1, "H": "2"}}, "the size H is '2'"),
    "no steps": ({"sizes": {"I": 1, "H": 2}, "T": 0}, "T is 0: give the largest number of steps"),
    "a type": (
        {"sizes": {"I": 1, "H": 2}, "real": "half"},
        "there is no type 'half': real is one of 'float', 'double'",
    ),
    "a name": ({"sizes": {"I": 1, "H": 2}, "name": "my cell"}, "'my cell' is no name of C"),
}


@pytest.mark.parametrize("mistake", WRONG)
def test_a_mistake_is_told_with_what_is_expected(mistake):
    options, words = WRONG[mistake]
    with pytest.raises(DeriveError, match=re.escape(words)):
        backends.named("plain").files(model(registry.cell("lstm")), **options)


def test_every_equation_stands_beside_its_line():
    """The ID of each equation of the primal and the adjoint of the LSTM is in the C."""
    cell = model(registry.cell("lstm"))
    code = made("lstm")["cell.c"]
    ids = {i for kernel in cell.kernels[:4] for e in kernel.lowered.program.equations for i in e.ids}
    boundaries = {i for kernel in cell.kernels for e in kernel.lowered.boundaries for i in e.ids}
    found = set(re.findall(r"[FBPLD]\d+'*", " ".join(re.findall(r"/\*.*?\*/", code))))
    assert ids - boundaries <= found


def test_it_is_nothing_but_plain_c():
    """No vectors, no threads, no memory from elsewhere, in any cell."""
    for name in CELLS:
        code = made(name)["cell.c"]
        assert not re.search(r"malloc|calloc|vector_size|pthread|_Atomic|immintrin|#pragma|\bgoto\b", code)


def test_an_input_with_a_name_of_the_c_is_refused():
    text = CELL_OF.replace("@F@", "tanh").replace("(x, h", "(first, h").replace("x[t, j]", "first[t, j]")
    text = (
        text.replace('states="h"', 'states="h", inputs="v"').replace("h, W", "h, v, W").replace("/ 2", "/ 2 + v[t, n]")
    )
    space: dict = {"__name__": "cells"}
    exec(HEAD + textwrap.dedent(text), space)
    with pytest.raises(DeriveError, match="another use for the name first of an input; rename it"):
        backends.named("plain").files(model(space["mine"]), {"I": 1, "H": 2})
