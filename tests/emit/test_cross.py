"""The generated C on processors that are not this one: cross-compiled, emulated, compared with NumPy.

64-bit ARM has a tile of its own for NEON; 32-bit ARM and RISC-V go through vectors that the compiler takes apart, or none
at all.  On emulated x86 processors without AVX-512 and without AVX2 the compiled library, which holds builds for
all, must choose one that they can run.
"""

import re
import signal
import subprocess
from collections import Counter

import numpy as np
import pytest
from c_tools import FLAGS, MATH, REALS, files, need, run
from cross import case, executed, expected, program
from test_math import sample, source, ulps

from derive.backends.shared.printer import F32, F64

TARGETS = {"aarch64": "aarch64-linux-gnu", "arm": "arm-linux-gnueabihf", "riscv64": "riscv64-linux-gnu"}
# Every target runs the LSTM; the one with code of its own runs cells with reductions and with two products too.
RUNS = [("aarch64", "lstm"), ("aarch64", "gru"), ("aarch64", "lstm_layernorm"), ("arm", "lstm"), ("riscv64", "lstm")]
# One of each, remainders of every tile, enough rows for the full tile, more than one chunk of steps.
SIZES = [
    {"T": 1, "B": 1, "I": 1, "H": 1},
    {"T": 3, "B": 2, "I": 5, "H": 7},
    {"T": 4, "B": 7, "I": 3, "H": 17},
    {"T": 2, "B": 13, "I": 33, "H": 31},
    {"T": 300, "B": 3, "I": 2, "H": 5},
]
# Normwise, in units of the machine epsilon.  Layer norm divides by the spread of its values: none at all for one unit,
# where sqrt(1e-5) is left, and roundings grow 300-fold.
LIMIT_EPS = {"lstm_layernorm": 4000.0}
LIMIT_OTHERS = 32.0


def tools(target):
    """The cross-compiler and how to run what it makes."""
    triple = TARGETS[target]
    emulator = need(f"qemu-{target}")
    return need(f"{triple}-gcc"), [emulator, "-L", f"/usr/{triple}"]


def compare(cell, real, results, given):
    """All results, normwise, against the hand-written forward pass and BPTT in float64."""
    ends, everything = expected(cell, given)
    for found, wanted in zip(results, (ends, ends, everything), strict=True):
        assert wanted.keys() <= found.keys()
        for name, value in wanted.items():
            scale = max(np.linalg.norm(value), 1)  # layer norm of one unit cancels: no digits of its own
            error = np.linalg.norm(found[name] - value) / scale / np.finfo(real.dtype).eps
            assert error <= LIMIT_EPS.get(cell, LIMIT_OTHERS), f"{cell} {real.tag} {name}: {error:.1f} eps"


@pytest.mark.parametrize("real", REALS, ids=lambda real: real.tag)
@pytest.mark.parametrize(("target", "cell"), RUNS)
def test_cells(target, cell, real, tmp_path):
    compiler, emulator = tools(target)
    made = program(cell, real, tmp_path, compiler, *(["-O1"] if target != "aarch64" else []))
    for sizes in SIZES:
        given = case(cell, real, sizes)
        results, _ = executed([*emulator, made], cell, real, sizes, given)
        compare(cell, real, results, given)


# -- functions ---------------------------------------------------------------------------------------------------------

MAIN = r"""
#include <stdio.h>
/* name on the command line, values on the standard input */
int main(int count, char **words)
{
    static real x[4096], y[4096];
    size_t n;
    (void)count;
    while ((n = fread(x, sizeof(real), 4096, stdin)) > 0) {
        switch (words[1][0]) {
        case 'e': run_exp(x, y, n); break;
        case 's': run_sigmoid(x, y, n); break;
        default: run_tanh(x, y, n); break;
        }
        fwrite(y, sizeof(real), n, stdout);
    }
    return 0;
}
"""


@pytest.mark.parametrize("real", REALS, ids=lambda real: real.tag)
@pytest.mark.parametrize("target", TARGETS)
def test_functions(target, real, tmp_path):
    compiler, emulator = tools(target)
    (tmp_path / "f.c").write_text(source(real, tmp_path) + MAIN)
    run(compiler, "-std=c99", "-O2", *MATH, tmp_path / "f.c", "-o", tmp_path / "f", "-lm")

    def call(name, x):
        done = subprocess.run([*emulator, tmp_path / "f", name], input=x.tobytes(), capture_output=True, check=True)
        return np.frombuffer(done.stdout, real.dtype)

    inf, tiny = np.inf, np.finfo(real.dtype).smallest_subnormal
    special = np.array([0.0, -0.0, inf, -inf, np.nan, tiny, -tiny], real.dtype)
    for name, wanted in {
        "exp": [1, 1, inf, 0, np.nan, 1, 1],
        "sigmoid": [0.5, 0.5, 1, 0, np.nan, 0.5, 0.5],
        "tanh": [0.0, -0.0, 1, -1, np.nan, tiny, -tiny],
    }.items():
        found = call(name, special)
        np.testing.assert_array_equal(found, np.array(wanted, real.dtype), name)
        assert name != "tanh" or (np.signbit(found[:2]) == [False, True]).all()
        x = sample("f32" if real is F32 else "f64")[::7]
        truth = exact_function(name, x)
        error = ulps(y := call(name, x), truth)
        small = abs(truth) < 2 * np.finfo(real.dtype).tiny  # what is no normal number may be zero
        assert (abs(y[small]) <= 2 * np.finfo(real.dtype).tiny).all()
        error[small] = 0
        assert error.max() <= 4, f"{name}: {error.max():.3g} ulp at {x[error.argmax()]!r}"
        assert (y[1:] >= y[:-1]).all(), name


def exact_function(name, x):
    """The reference in the next wider type."""
    wide = x.astype(np.float64 if x.dtype == np.float32 else np.longdouble)
    with np.errstate(over="ignore", under="ignore"):
        if name == "exp":
            return np.exp(wide)
        if name == "tanh":
            return np.tanh(wide)
        return np.where(wide > 0, 1 / (1 + np.exp(-abs(wide))), np.exp(-abs(wide)) / (1 + np.exp(-abs(wide))))


# -- the micro-kernel --------------------------------------------------------------------------------------------------


def hottest_loop(assembly: str, function: str, instruction: str) -> Counter:
    """The instructions of that innermost loop of a function which has most of `instruction`; "stack" counts accesses."""
    text = assembly[assembly.index(f"\n{function}:") :]
    text = text[: text.index("\t.size")]
    labels = {m[1]: m.start() for m in re.finditer(r"^(\.L\w+):", text, re.MULTILINE)}
    best = Counter()
    jumps = re.finditer(r"^\t[bct]\S*\s+(?:\w+, )*(\.L\w+)", text, re.MULTILINE)
    loops = [(start, jump.end()) for jump in jumps if (start := labels.get(jump[1], jump.start())) < jump.start()]
    for start, end in loops:
        if any((start, end) != (a, b) and start <= a and b <= end for a, b in loops):
            continue  # not an innermost loop
        body = text[start:end]
        found = Counter(m[1] for m in re.finditer(r"^\t(\w[\w.]*)\s", body, re.MULTILINE))
        found["stack"] = body.count("[sp")
        best = max(best, found, key=lambda c: c[instruction])
    return best


@pytest.mark.parametrize("real", REALS, ids=lambda real: real.tag)
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_neon_tile(compiler, real, tmp_path):
    """24 multiply-adds for 4 loads of weights and the 6 values of the rows, and nothing goes over the stack."""
    gcc = need("aarch64-linux-gnu-gcc")
    command = [gcc] if compiler == "gcc" else [need("clang"), "--target=aarch64-linux-gnu"]
    made = tmp_path / "lstm.s"
    for name in (f"lstm_{real.tag}.c", "lstm.h"):
        (tmp_path / name).write_text(files("lstm")[name])
    run(
        *command,
        *FLAGS,
        "-isystem",
        "/usr/aarch64-linux-gnu/include",
        "-S",
        tmp_path / f"lstm_{real.tag}.c",
        "-o",
        made,
    )
    assembly = made.read_text()
    full = [
        loop
        for name in re.findall(r"^((?:tile|strip)\w*(?:\.\w+)*):", assembly, re.MULTILINE)
        if (loop := hottest_loop(assembly, name, "fmla"))["fmla"] == 24
    ]
    assert full, "no tile of 6 rows and 4 vectors"
    for loop in full:
        assert loop["stack"] == 0, loop
        assert loop["fmul"] == 0
        assert loop["ldp"] + loop["ldr"] + loop["ld1r"] <= 10, loop


# -- x86 processors that lack what the library has builds for ------------------------------------------------------------

PROCESSORS = {"Nehalem": 1, "SandyBridge": 1, "Haswell": 2}  # what <cell>_isa() says


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    """The RNN with all builds in one program, per scalar type."""
    need("qemu-x86_64")
    work = tmp_path_factory.mktemp("x86")
    return {real.tag: program("rnn", real, work, need("gcc"), "-O1", "-DDERIVE_DISPATCH") for real in (F32, F64)}


@pytest.mark.parametrize("real", REALS, ids=lambda real: real.tag)
@pytest.mark.parametrize("processor", PROCESSORS)
def test_no_instruction_that_the_processor_lacks(everything, processor, real):
    for sizes in SIZES:
        given = case("rnn", real, sizes)
        command = [need("qemu-x86_64"), "-cpu", processor, everything[real.tag]]
        results, said = executed(command, "rnn", real, sizes, given)
        assert said.endswith(f"isa {PROCESSORS[processor]}")
        compare("rnn", real, results, given)


def test_the_emulator_refuses(tmp_path):
    """The test above means something: a build for AVX2 does not run on a processor without it."""
    emulator = need("qemu-x86_64")
    made = program("rnn", F32, tmp_path, need("gcc"), "-O1", "-mavx2", "-mfma")
    sizes = SIZES[1]
    given = b"".join(a.tobytes() for a in case("rnn", F32, sizes).values())
    words = [emulator, "-cpu", "Nehalem", made, *map(str, (sizes["T"], sizes["B"], sizes["I"], sizes["H"]))]
    done = subprocess.run(words, input=given, capture_output=True, check=False)
    assert done.returncode in (-signal.SIGILL, 128 + signal.SIGILL), done.returncode
