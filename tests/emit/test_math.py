"""The functions of templates/c/math.h.j2 and type.h.j2: accurate, monotone, bounded, right at the special values."""

import ctypes
import math
import os
import re
import subprocess
from functools import cache

import mpmath
import numpy as np
import pytest
from c_tools import ISA_FLAGS, MATH, compilers, need, run, runnable

from derive.backends.c import emit
from derive.backends.shared.printer import F32, F64
from derive.ir import functions

NAMES = ("exp", "sigmoid", "tanh", "expm1", "log", "softplus", "atan", "erf", "normal_cdf")
MONOTONE = ("exp", "sigmoid", "tanh", "expm1", "log", "atan", "normal_cdf")
BOUNDS = {
    "exp": (0, np.inf),
    "sigmoid": (0, 1),
    "tanh": (-1, 1),
    "expm1": (-1, np.inf),
    "softplus": (0, np.inf),
    "atan": (-1.5707964, 1.5707964),  # pi/2 as float rounds it
    "erf": (-1, 1),
    "normal_cdf": (0, 1),
}
# In the C library's long double, which has digits to spare for either type.
LONG = {
    "exp": "expl(x)",
    "tanh": "tanhl(x)",
    "sigmoid": "x > 0 ? 1 / (1 + expl(-x)) : expl(x) / (1 + expl(x))",
    "expm1": "expm1l(x)",
    "log": "logl(x)",
    "softplus": "x > 0 ? x + log1pl(expl(-x)) : log1pl(expl(x))",
    "atan": "atanl(x)",
    "erf": "erfl(x)",
    "normal_cdf": "erfcl(-x * 0.707106781186547524400844362104849039L) / 2",
}
ULP = {record.c: record.ulp for record in functions.RECORDS}
REALS = {"f32": F32, "f64": F64}
VARIANTS = [(real, isa) for real in REALS for isa in ISA_FLAGS]


def header(real, work):
    """The line that reads every function; what it reads is put beside it."""
    for name, text in emit.shared().items():
        (work / name).write_text(text)
    return f'#include "derive_{real.tag}.h"\n'


def source(real, work):
    """One exported function per record: y[n] = f(x[n])."""
    text = header(real, work)
    for record in functions.RECORDS:
        given = ", ".join(f"load(x{p} + k, lanes)" for p in range(len(record.arguments)))
        arrays = ", ".join(f"const real *x{p}" for p in range(len(record.arguments)))
        text += (
            f"\nvoid run_{record.c}({arrays}, real *y, size_t n);\n"
            f"void run_{record.c}({arrays}, real *y, size_t n)\n{{\n"
            f"    for (size_t k = 0; k < n; k += V) {{\n"
            f"        const size_t lanes = n - k < V ? n - k : V;\n"
            f"        store(y + k, vec_{record.c}({given}), lanes);\n    }}\n}}\n"
        )
    return text


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """(real, isa, compiler) -> function(name, values): the compiled functions."""
    work = tmp_path_factory.mktemp("math")

    @cache
    def compiled(real, isa, compiler):
        made = work / f"{real}_{isa}_{compiler}.so"
        code = made.with_suffix(".c")
        code.write_text(source(REALS[real], work))
        run(compiler, "-std=c99", "-O2", *MATH, *ISA_FLAGS[isa], "-shared", "-fPIC", code, "-o", made, "-lm")
        return ctypes.CDLL(str(made))

    def call(real, isa, name, x, compiler="gcc", more=()):
        if isa not in runnable():
            pytest.skip(f"this processor has no {isa}")
        given = [np.ascontiguousarray(a, REALS[real].dtype) for a in (x, *more)]
        y = np.empty_like(given[0])
        where = [ctypes.c_void_p(a.ctypes.data) for a in (*given, y)]
        getattr(compiled(real, isa, compiler), f"run_{name}")(*where, ctypes.c_size_t(y.size))
        return y

    return call


@cache
def sample(real):
    """Sorted: all exponents, random mantissas, a dense grid where the functions bend, and the edges of their ranges."""
    dtype = REALS[real].dtype
    info, rng = np.finfo(dtype), np.random.default_rng(7)
    unsigned, per = (np.uint32, 1500) if real == "f32" else (np.uint64, 180)
    exponents = np.arange(2**info.nexp - 1, dtype=unsigned) << unsigned(info.nmant)
    mantissas = rng.integers(0, 2**info.nmant, size=(per, exponents.size), dtype=unsigned)
    wild = (exponents | mantissas).ravel().view(dtype)
    largest = -functions.exponential(dtype).smallest + 3
    dense = np.concatenate(
        [
            rng.uniform(0, 1, 200_000),
            rng.uniform(0, 24, 200_000),
            rng.uniform(0, 4, 100_000),
            rng.uniform(0, largest, 100_000),
            np.arange(1, 2000) * np.log(2) / 2,
        ]
    ).astype(dtype)
    edges = [
        dtype(functions.exponential(dtype).largest),
        dtype(largest - 3),
        dtype(1),
        dtype(24),
        dtype(48),
        info.tiny,
        info.max,
    ]
    # Where the argument reduction takes the next power of two: an approximation joins its neighbour there.
    joints = (np.arange(0.5, largest / np.log(2)) * np.log(2)).astype(dtype)
    centres = np.concatenate([np.array(edges, dtype), joints, joints / 2]).view(unsigned)
    near = (centres[:, None] + np.arange(-200, 201).astype(unsigned)).ravel().view(dtype)
    positive = np.concatenate([wild, dense, near, [0, info.smallest_subnormal]])
    positive = positive[np.isfinite(positive)]
    return np.unique(np.concatenate([-positive, positive]).astype(dtype))


@pytest.fixture(scope="module")
def exact(tmp_path_factory):
    """(name, values) -> the reference, in the next wider type."""
    work = tmp_path_factory.mktemp("exact")
    text = "#include <math.h>\n#include <stddef.h>\n"
    for name, body in LONG.items():
        text += (
            f"void {name}_of(const long double *in, long double *out, size_t n)\n{{\n"
            f"    for (size_t k = 0; k < n; ++k) {{ const long double x = in[k]; out[k] = {body}; }}\n}}\n"
        )
    (work / "exact.c").write_text(text)
    run("gcc", "-O2", "-shared", "-fPIC", work / "exact.c", "-o", work / "exact.so", "-lm")
    own = ctypes.CDLL(str(work / "exact.so"))

    @cache
    def computed(name, kind):
        wide = np.ascontiguousarray(domain(name, sample(kind)), np.longdouble)
        out = np.empty_like(wide)
        where = (ctypes.c_void_p(wide.ctypes.data), ctypes.c_void_p(out.ctypes.data), ctypes.c_size_t(wide.size))
        getattr(own, f"{name}_of")(*where)
        return out.astype(np.float64) if kind == "f32" else out

    return computed


def domain(name, x):
    """Those of the sample at which a function is a number."""
    return x[x > 0] if name == "log" else x


def ulps(y, truth):
    """Distance in units in the last place of the truth; none where both are beyond the largest number, or where zero
    stands for what is too small to be a normal number (kernels flush it anyway)."""
    largest, tiny = np.finfo(y.dtype).max, np.finfo(y.dtype).tiny
    with np.errstate(over="ignore", invalid="ignore"):
        unit = np.spacing(np.minimum(abs(truth), largest).astype(y.dtype)).astype(truth.dtype)
        error = abs(y.astype(truth.dtype) - truth) / unit
        flushed = (y == 0) & (truth != 0) & (abs(truth) < tiny)
        return np.where(((y == truth.astype(y.dtype)) & np.isinf(y)) | flushed, 0, error).astype(float)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("real", "isa"), VARIANTS)
def test_accurate_monotone_bounded(library, exact, real, isa, name, record_property):
    if real == "f64" and np.finfo(np.longdouble).nmant < 63:
        pytest.skip("needs a long double wider than double")
    x = domain(name, sample(real))
    y, truth = library(real, isa, name, x), exact(name, real)
    error = ulps(y, truth)
    record_property("max_ulp", float(error.max()))
    assert error.max() <= ULP[name], f"{error.max():.3g} ulp at {x[error.argmax()]!r}"
    with np.errstate(invalid="ignore"):
        down = np.flatnonzero(np.diff(y) < 0) if name in MONOTONE else np.empty(0)
    assert not down.size, f"{down.size} steps down, first from {x[down[0]]!r}: {y[down[0]]!r}, then {y[down[0] + 1]!r}"
    low, high = BOUNDS.get(name, (-np.inf, np.inf))
    assert (y >= low).all() and (y <= high).all()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("real", REALS)
def test_against_many_digits(library, real, name):
    x = domain(name, sample(real))
    x = x[np.linspace(0, x.size - 1, 400).astype(int)]
    y, dtype = library(real, "base", name, x), REALS[real].dtype
    record = next(r for r in functions.RECORDS if r.c == name)
    with mpmath.workdps(60):
        for a, b in zip(x.tolist(), y.tolist(), strict=True):
            truth = record.mpmath(mpmath.mpf(a))
            if math.isinf(b):
                assert truth > mpmath.mpf(float(np.finfo(dtype).max))
                continue
            if b == 0 and abs(truth) < mpmath.mpf(float(np.finfo(dtype).tiny)):
                continue
            unit = np.spacing(np.abs(dtype(min(float(abs(truth)), float(np.finfo(dtype).max)))))
            assert abs(mpmath.mpf(b) - truth) <= ULP[name] * mpmath.mpf(float(unit)), (a, b)


@pytest.mark.parametrize("compiler", compilers())
@pytest.mark.parametrize(("real", "isa"), VARIANTS)
def test_special_values(library, real, isa, compiler):
    dtype = REALS[real].dtype
    info = np.finfo(dtype)
    inf, nan, tiny = np.inf, np.nan, info.smallest_subnormal
    expected = {
        "exp": {0.0: 1, inf: inf, -inf: 0, info.max: inf, info.min: 0, tiny: 1, -tiny: 1},
        "sigmoid": {0.0: 0.5, inf: 1, -inf: 0, info.max: 1, info.min: 0, tiny: 0.5, -tiny: 0.5},
        "tanh": {0.0: 0, inf: 1, -inf: -1, info.max: 1, info.min: -1, tiny: tiny, -tiny: -tiny, info.tiny: info.tiny},
        "relu": {0.0: 0, inf: inf, -inf: 0, tiny: tiny, -tiny: 0},
        "step": {0.0: 0, inf: 1, -inf: 0, tiny: 1, -tiny: 0},
        "signum": {0.0: 0, inf: 1, -inf: -1, tiny: 1, -tiny: -1},
        "absolute": {0.0: 0, inf: inf, -inf: inf, -tiny: tiny},
        "softplus": {inf: inf, -inf: 0, 0.0: dtype(math.log(2)), dtype(1000): 1000, dtype(-1000): 0},
        "expm1": {0.0: 0, inf: inf, -inf: -1, info.max: inf, info.min: -1, tiny: tiny, -tiny: -tiny, dtype(-1000): -1},
        "log": {0.0: -inf, inf: inf, 1.0: 0, -1.0: nan, -inf: nan, -tiny: nan},
        "atan": {0.0: 0, inf: dtype(np.pi / 2), -inf: -dtype(np.pi / 2), tiny: tiny, info.max: dtype(np.pi / 2)},
        "erf": {0.0: 0, inf: 1, -inf: -1, info.max: 1, dtype(1000): 1, dtype(-1000): -1, -tiny: -tiny},
        "normal_cdf": {0.0: 0.5, inf: 1, -inf: 0, info.max: 1, info.min: 0, dtype(1000): 1, dtype(-1000): 0, tiny: 0.5},
        "floor": {
            0.5: 0,
            -0.5: -1,
            inf: inf,
            -inf: -inf,
            info.max: info.max,
            7.0: 7,
            -7.0: -7,
            tiny: 0,
            -tiny: -1,
            2.5e6: 2.5e6,
        },
    }
    for name, pairs in expected.items():
        x = np.array(list(pairs), dtype)
        np.testing.assert_array_equal(
            library(real, isa, name, x, compiler), np.array(list(pairs.values()), dtype), name
        )
    for name in [r.c for r in functions.RECORDS if len(r.arguments) == 1]:
        y = library(real, isa, name, np.array([nan, -nan, 1, nan], dtype), compiler)
        assert np.isnan(y[[0, 1, 3]]).all() and np.isfinite(y[2]), name
    assert library(real, isa, "exp", np.array([-0.0], dtype), compiler) == 1
    for name in ("tanh", "expm1", "atan", "erf", "floor"):
        signs = library(real, isa, name, np.array([0.0, -0.0], dtype), compiler)
        assert not np.signbit(signs[0]) and np.signbit(signs[1]), name
    assert not np.signbit(library(real, isa, "absolute", np.array([-0.0], dtype), compiler))


EDGES = [np.nan, -np.nan, np.inf, -np.inf, 0.0, -0.0, 0.5, -0.5, 700.0, -700.0]


@pytest.mark.parametrize("isa", ["portable", "base", "avx2", "avx512"])
@pytest.mark.parametrize("record", [r for r in functions.RECORDS if r.c != "fused"], ids=lambda record: record.c)
def test_c_numpy_and_mpmath_agree_at_the_edges(library, record, isa):
    """A comparison with NaN is false: what is written as a choice must not give the other side's value for it.  The complex
    step evaluates with complex numbers, whose real part is meant."""
    x, *more = (a.ravel() for a in np.meshgrid(*[np.array(EDGES)] * len(record.arguments)))
    with np.errstate(all="ignore"), mpmath.workdps(30):
        real, step = record.numpy(x, *more), record.numpy(x + 0j, *more).real
        digits = np.array([float(record.mpmath(*map(mpmath.mpf, v))) for v in zip(x, *more, strict=True)])
    np.testing.assert_allclose(real, digits, rtol=1e-14, err_msg="NumPy")
    np.testing.assert_allclose(step, digits, rtol=1e-14, err_msg="NumPy, complex")
    found = library("f64", isa, record.c, x, more=more)
    np.testing.assert_allclose(found, digits, rtol=1e-14, atol=1e-300, err_msg="C")
    narrow = library("f32", isa, record.c, x, more=more)
    with np.errstate(over="ignore"):
        np.testing.assert_allclose(narrow, digits.astype(np.float32), rtol=1e-6, atol=1e-37, err_msg="C, float")


@pytest.mark.parametrize("isa", ["portable", "base", "avx2", "avx512"])
@pytest.mark.parametrize("real", REALS)
def test_choices_and_comparisons_are_exact(library, real, isa):
    """Every pair and triple of numbers that are equal, neighbours, opposite, subnormal, infinite or no numbers."""
    dtype = REALS[real].dtype
    info = np.finfo(dtype)
    special = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1, np.nextafter(dtype(1), dtype(2)), -1, info.tiny, info.smallest_subnormal,
               -info.smallest_subnormal, info.max, info.min, 2.5, 3e6]  # fmt: skip
    a, b = (v.ravel() for v in np.meshgrid(*[np.array(special, dtype)] * 2))
    wanted = {"less": a < b, "at_most": a <= b, "maximum": np.maximum(a, b), "minimum": np.minimum(a, b)}
    for name, values in wanted.items():
        np.testing.assert_array_equal(library(real, isa, name, a, more=[b]), values.astype(dtype), name)
    a, b, c = (v.ravel() for v in np.meshgrid(*[np.array(special, dtype)] * 3))
    np.testing.assert_array_equal(library(real, isa, "where", a, more=[b, c]), np.where(a != 0, b, c))
    np.testing.assert_array_equal(library(real, isa, "clip", a, more=[b, c]), np.minimum(np.maximum(a, b), c))
    x = sample(real)
    np.testing.assert_array_equal(library(real, isa, "floor", x), np.floor(x))


@pytest.mark.parametrize("compiler", compilers())
def test_one_lane_does_not_depend_on_the_others(library, compiler):
    x = np.random.default_rng(0).normal(size=64).astype(np.float32) * 10
    for isa in runnable():
        for name in NAMES:
            together = library("f32", isa, name, x, compiler)
            alone = [library("f32", isa, name, x[k : k + 1], compiler)[0] for k in range(x.size)]
            np.testing.assert_array_equal(together, alone)


EVERY = r"""
#include <stdio.h>
/* Every float of [lo, hi): against the C library in double, and against its neighbour below. */
int main(void)
{
    static real x[4096], y[4096];
    double worst = 0.0, at = 0.0;
    unsigned long down = 0, out = 0, wrong = 0;
    /* in order of value: negative floats from the largest bit pattern down, then positive ones up */
    real before = (real)LOWER;
    for (int64_t n = FIRST; n <= 0x7f800000; n += 4096) {
        size_t count = 0;
        for (int64_t m = n; m < n + 4096 && m <= 0x7f800000; ++m, ++count) {
            const uint32_t bits = m < 0 ? 0x80000000u | (uint32_t)(-m) : (uint32_t)m;
            memcpy(x + count, &bits, 4);
        }
        for (size_t k = 0; k < 4096; k += V) store(y + k, FUNCTION(load(x + k, V)), V);
        for (size_t k = 0; k < count; ++k) {
            const double truth = TRUTH((double)x[k]), size = fabs(truth);
            int exponent;
            double unit;
            if (y[k] < before) ++down;
            before = y[k];
            if (!(y[k] >= (real)LOWER && y[k] <= (real)UPPER)) ++out;
            if (y[k] == (float)truth) continue; /* correctly rounded, Inf and zero included */
            if (y[k] == 0 && size < 1.17549435e-38) continue; /* flushed: too small to be a normal number */
            frexp(size, &exponent);
            unit = ldexp(1.0, exponent < -125 ? -149 : exponent - 24);
            if (size > 3.4028234663852886e38) { ++wrong; continue; }
            if (fabs((double)y[k] - truth) / unit > worst) worst = fabs((double)y[k] - truth) / unit, at = (double)x[k];
        }
    }
    for (uint32_t bits = 0x7f800001u; bits; ++bits) { /* NaN, of both signs */
        real v;
        if (bits == 0x80000000u) bits = 0xff800001u;
        memcpy(&v, &bits, 4);
        const vec w = FUNCTION(splat(v));
        if (LANE(w, 0) == LANE(w, 0)) ++wrong;
    }
    printf("%.17g %.9g %lu %lu %lu\n", worst, at, down, out, wrong);
    return 0;
}
"""


@pytest.mark.exhaustive
@pytest.mark.parametrize("isa", ["base", "avx2", "avx512"])
@pytest.mark.parametrize("name", NAMES)
def test_every_float32(tmp_path, name, isa, record_property):
    if isa not in runnable():
        pytest.skip(f"this processor has no {isa}")
    truth = re.sub(r"(\w+)l\(", r"\1(", LONG[name]).replace("L)", ")")
    lower, upper = (
        {-np.inf: "-HUGE_VAL", np.inf: "HUGE_VAL"}.get(v, f"{v:.9g}") for v in BOUNDS.get(name, (-np.inf, np.inf))
    )
    text = f"{header(F32, tmp_path)}\n#define FUNCTION vec_{name}\n#define LOWER {lower}\n#define UPPER {upper}\n"
    first = 1 if name == "log" else -0x7F800000
    text += f"static double TRUTH(double x) {{ return {truth}; }}\n#define FIRST {first}\n{EVERY}"
    (tmp_path / "every.c").write_text(text)
    run(need("gcc"), "-std=c99", "-O2", *MATH, *ISA_FLAGS[isa], tmp_path / "every.c", "-o", tmp_path / "every", "-lm")
    done = subprocess.run([tmp_path / "every"], capture_output=True, text=True, check=True, env={**os.environ})
    worst, at, down, out, wrong = done.stdout.split()
    record_property("max_ulp", float(worst))
    assert float(worst) <= ULP[name], f"{worst} ulp at {at}"
    assert (down if name in MONOTONE else "0", out, wrong) == ("0", "0", "0")
    print(f"{name} {isa}: {float(worst):.3f} ulp at {at}")
