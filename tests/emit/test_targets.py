"""The C of one file alone, without threads and without vectors, on processors from the Cortex-M0+ to the mainframe.

All compute the same bits, whatever the size of their pointers and the order of their bytes; x87 alone, whose registers are
wider than double, is right to rounding.  In float they call for no double arithmetic, and without threads for no atomics.
"""

import random
import re
import subprocess

import numpy as np
import pytest
from c_tools import CELLS, MATH, REALS, WARNINGS, files, need, run
from cross import case, expected
from targets import TARGETS, command, compiled, executed, host, program, tools

SIZES = [
    {"T": 1, "B": 1, "I": 1, "H": 1},
    {"T": 3, "B": 2, "I": 5, "H": 7},
    {"T": 4, "B": 7, "I": 3, "H": 9},
    {"T": 90, "B": 3, "I": 2, "H": 5},
]
BARE = [name for name, target in TARGETS.items() if target.board]
NO_VECTORS = [*BARE, "arm", "riscv64", "s390x", "i386"]


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """(cell, real) -> for each of SIZES the results of this processor, one number at a time."""
    work, kept = tmp_path_factory.mktemp("reference"), {}

    def results(cell, real):
        if (cell, real.tag) not in kept:
            need("gcc")
            made = program(host(), cell, real, work / f"{cell}_{real.tag}", "-DDERIVE_PORTABLE")
            kept[cell, real.tag] = [executed(host(), made, cell, real, s, case(cell, real, s)) for s in SIZES]
        return kept[cell, real.tag]

    return results


def compare(cell, real, results, given, limit=32.0):
    """All results, normwise in units of the machine epsilon, against the hand-written forward pass and BPTT."""
    ends, everything = expected(cell, given)
    for found, wanted in zip(results, (ends, ends, everything), strict=True):
        for name, value in wanted.items():
            scale = max(np.linalg.norm(value), 1)
            error = np.linalg.norm(found[name] - value) / scale / np.finfo(real.dtype).eps
            assert error <= limit, f"{cell} {real.tag} {name}: {error:.1f} eps"


@pytest.mark.parametrize("real", REALS, ids=lambda real: real.tag)
def test_what_all_are_compared_with_is_right(reference, real):
    for sizes, results in zip(SIZES, reference("gru", real), strict=True):
        compare("gru", real, results, case("gru", real, sizes))


@pytest.mark.parametrize("real", REALS, ids=lambda real: real.tag)
@pytest.mark.parametrize("name", [n for n in TARGETS if n != "i386"])
def test_the_same_bits_everywhere(reference, name, real, tmp_path):
    target, cell = tools(name), "gru"
    one_by_one = [] if name in NO_VECTORS else ["-DDERIVE_PORTABLE"]
    made = program(target, cell, real, tmp_path, *one_by_one)
    for sizes, wanted in zip(SIZES, reference(cell, real), strict=True):
        found = executed(target, made, cell, real, sizes, case(cell, real, sizes))
        for ours, theirs in zip(found, wanted, strict=True):
            for key, value in theirs.items():
                np.testing.assert_array_equal(ours[key], value, err_msg=f"{name} {real.tag} {sizes}: {key}")


# Vectors that round every product, as numbers do.
PLAIN_VECTORS = {"i386-sse2": (), "s390x": ("-march=z14",)}


@pytest.mark.parametrize("real", REALS, ids=lambda real: real.tag)
@pytest.mark.parametrize("name", PLAIN_VECTORS)
def test_lanes_do_not_change_bits(reference, name, real, tmp_path):
    """All but the loss, which adds up the units of a row lane by lane."""
    target, cell = tools(name), "gru"
    made = program(target, cell, real, tmp_path, *PLAIN_VECTORS[name])
    for sizes, wanted in zip(SIZES, reference(cell, real), strict=True):
        found = executed(target, made, cell, real, sizes, case(cell, real, sizes))
        for ours, theirs in zip(found, wanted, strict=True):
            for key, value in theirs.items():
                if key == "loss":
                    np.testing.assert_allclose(ours[key], value, rtol=8 * np.finfo(real.dtype).eps)
                else:
                    np.testing.assert_array_equal(ours[key], value, err_msg=f"{name} {real.tag} {sizes}: {key}")


@pytest.mark.parametrize("real", REALS, ids=lambda real: real.tag)
@pytest.mark.parametrize("standard", ["c99", "gnu99"])
def test_x87_is_right_to_rounding(standard, real, tmp_path):
    """In gnu99 GCC does not even round where a number is stored in a variable; optimised it keeps them in registers."""
    target, cell = tools("i386"), "gru"
    made = program(target, cell, real, tmp_path, f"-std={standard}", "-O2")
    for sizes in SIZES:
        given = case(cell, real, sizes)
        compare(cell, real, executed(target, made, cell, real, sizes, given), given)


# -- what is in the object files ---------------------------------------------------------------------------------------


def placed(cell, work, tags=("f32",)):
    for name in (f"{cell}.h", *(f"{cell}_{tag}.c" for tag in tags)):
        (work / name).write_text(files(cell)[name])
    return [work / f"{cell}_{tag}.c" for tag in tags]


@pytest.mark.parametrize(("name", "cell"), [*(("m0plus", c) for c in CELLS), ("m3", "rnn"), ("m4f", "rnn")])
def test_float_needs_no_double_and_no_atomics(name, cell, tmp_path):
    """What the linker would have to find: single precision, division of integers, memcpy and the like; sqrtf for layer norm."""
    target = tools(name)
    (code,) = placed(cell, tmp_path)
    made = tmp_path / "made.o"
    run(target.compiler, "-std=c99", "-Os", *MATH, *target.flags, "-c", code, "-o", made)
    used = set(run(need("arm-none-eabi-nm"), "-u", made).split()) - {"U"}
    single = re.compile(r"__aeabi_(f(?!2d)\w+|c?fcmp\w+|u?i2f|ui2f|u?idiv(mod)?|uldivmod|l\w+)")
    extra = {u for u in used if not single.fullmatch(u)}
    assert extra <= {"memcpy", "memset", "memmove", "sqrtf"}, extra


@pytest.mark.parametrize("name", TARGETS)
def test_vectors_where_the_processor_has_them_and_nowhere_else(name, tmp_path):
    """Elsewhere the compiler sees what it sees with -DDERIVE_PORTABLE."""
    target = tools(name)
    for code in placed("rnn", tmp_path, ("f32", "f64")):
        seen = [
            run(target.compiler, "-E", "-P", "-std=c99", *target.flags, *more, code)
            for more in ([], ["-DDERIVE_PORTABLE"])
        ]
        assert (seen[0] == seen[1]) == (name in NO_VECTORS)
        assert ("vector_size" in seen[0].split("typedef float real")[-1]) == (name not in NO_VECTORS)


@pytest.mark.parametrize("name", TARGETS)
def test_no_warnings_on(name, tmp_path):
    target = tools(name)
    (code,) = placed("rnn", tmp_path, ("f32",) if list(TARGETS).index(name) % 2 else ("f64",))
    run(target.compiler, "-std=c99", "-O2", *MATH, *WARNINGS, *target.flags, "-c", code, "-o", "/dev/null")


@pytest.mark.parametrize("flags", [(), ("-mno-sse",)], ids=["sse2", "x87"])
def test_no_warnings_of_clang_for_32_bits(flags, tmp_path):
    """What `clang -m32` compiles, with the headers of the cross-compiler."""
    root = tools("i386").root
    how = (need("clang"), "--target=i686-linux-gnu", "-isystem", f"{root}/include", *flags)
    for code in placed("rnn", tmp_path, ("f32", "f64")):
        run(*how, "-std=c99", "-O1", *MATH, *WARNINGS, "-c", code, "-o", "/dev/null")


# -- sizes -------------------------------------------------------------------------------------------------------------

ASK = r"""
#include "@CELL@.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* For each line of sizes in the file `given`: what @CELL@_f32_sizes() says. */
int main(void)
{
    FILE *given = fopen("given", "r"), *found = fopen("found", "w");
    unsigned long size[6];
    if (!given || !found) return 6;
    while (fscanf(given, "%lu %lu %lu %lu %lu %lu", size, size + 1, size + 2, size + 3, size + 4, size + 5) == 6) {
        @CELL@_sizes s;
        @CELL@_f32_args a;
        int code;
        memset(&s, 0, sizeof s), memset(&a, 0, sizeof a);
        a.T = size[0], a.B = size[1], a.I = size[2], a.H = size[3], a.tape_every = size[4], a.batch = size[5];
        code = @CELL@_f32_sizes(&a, &s);
        fprintf(found, "%d %lu %lu %lu", code, (unsigned long)s.tape, (unsigned long)s.infer, (unsigned long)s.forward);
        fprintf(found, " %lu %lu\n", (unsigned long)s.backward, (unsigned long)s.loss_and_grad);
    }
    return fclose(found) != 0;
}
"""


def questions():
    """T, B, I, H, tape_every, batch: small ones, and others of which some product is near 2^31 or far beyond 2^32."""
    rng = random.Random(5)
    lines = [(5, 3, 2, 4, 0, 0), (10**5, 1, 1, 2, 7, 0), (1000, 4, 8, 16, 2**32 - 1, 5)]
    for _ in range(400):
        exponents = [rng.uniform(0, 32) for _ in range(4)]
        total = rng.uniform(10, 34) if rng.random() < 0.8 else 120
        scale = min(1.0, total / sum(exponents))
        sizes = [min(2**32 - 1, max(1, int(2 ** (e * scale)))) for e in exponents]
        lines.append((*sizes, rng.choice([0, 1, 3, 1000, 2**32 - 1]), rng.choice([0, 0, min(2**32 - 1, sizes[1] * 3)])))
    return lines


def bytes_needed(sizes):
    """Bytes of the arrays that the caller of an LSTM must own, at least."""
    steps, batch, inputs, units, _, rows = sizes
    weights = 4 * units * (inputs + units + 1)
    return 4 * max(steps * max(batch, rows) * (inputs + units), weights)


@pytest.mark.parametrize("name", ["i386", "arm", "m3"])
def test_sizes_of_32_bits_do_not_wrap_around(name, tmp_path):
    """What fits in half of the memory is answered as on 64 bits; what does not is refused, however the products wrap."""
    target, text = tools(name), ASK.replace("@CELL@", "lstm")
    sources = {"lstm.h": files("lstm")["lstm.h"], "lstm_f32.c": files("lstm")["lstm_f32.c"], "main.c": text}
    lines = "".join(" ".join(map(str, q)) + "\n" for q in questions())
    answers = []
    for how, folder in ((target, "narrow"), (host(), "wide")):
        work = tmp_path / folder
        made = compiled(how, work, sources, "ask", "-O1", "-DDERIVE_PORTABLE")
        (work / "given").write_text(
            lines if how is target else lines.replace(str(2**32 - 1) + " ", str(2**64 - 1) + " ")
        )
        done = subprocess.run(command(how, made), cwd=work, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
        answers.append([tuple(map(int, line.split())) for line in (work / "found").read_text().splitlines()])
    codes = []
    for sizes, narrow, wide in zip(questions(), *answers, strict=True):
        codes.append(narrow[0])
        if narrow[0] == 0:
            assert narrow == wide and bytes_needed(sizes) < 2**31, sizes
        else:
            assert narrow[0] == 3, sizes
        steps, batch, inputs, units, _, _ = sizes
        everything = 4 * (steps + 2) * (batch + 8) * (40 * units + 8 * inputs) + 64 * (units + 8) * (inputs + units + 8)
        if everything + 10**6 < 2**31:
            assert narrow[0] == 0, f"{sizes} fit"
    assert codes.count(0) > 50 and codes.count(3) > 50
