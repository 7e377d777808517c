"""Instruction sets: all agree to rounding, the dispatcher picks, DERIVE_ISA chooses, derive.cpu() tells."""

import importlib
import os
import subprocess
import sys
from functools import cache
from types import SimpleNamespace

import cffi
import numpy as np
import pytest
from c_tools import CELLS, INCLUDE, MATH, NUMBERED, REALS, best_isa, folder, need, run, runnable

import derive
from derive.runtime import Cell
from derive.toolchain.compiler import declarations

SIZES = [(1, 1, 1, 1), (3, 2, 5, 7), (4, 7, 3, 17), (2, 3, 33, 31), (40, 9, 2, 5)]


@pytest.fixture
def module(cell):
    return pytest.importorskip(f"derive.generated.{cell}")


@pytest.fixture(scope="module")
def portable(tmp_path_factory):
    """cell -> the same functions, compiled without vector extensions; called through cffi's ABI mode."""
    work = tmp_path_factory.mktemp("portable")

    @cache
    def made(cell):
        extra = work / f"{cell}.c"
        extra.write_text(
            "".join(f"int {cell}_{f}(void);\nint {cell}_{f}(void) {{ return 1; }}\n" for f in ("isa", "parts"))
        )
        code = [folder(cell) / f"{cell}_{real.tag}.c" for real in REALS]
        run(
            need("gcc"),
            "-std=c99",
            "-O1",
            *MATH,
            "-DDERIVE_PORTABLE",
            "-DDERIVE_THREADS",
            "-shared",
            "-fPIC",
            *INCLUDE,
            *code,
            extra,
            "-o",
            work / f"{cell}.so",
            "-lm",
        )
        ffi = cffi.FFI()
        ffi.cdef(declarations((folder(cell) / f"{cell}.h").read_text()))
        lib = ffi.dlopen(str(work / f"{cell}.so"))
        names = {n: getattr(lib, n) for n in dir(lib) if not n.endswith("_error")}
        digest = importlib.import_module(f"derive.generated.{cell}").SPEC["code"].encode()
        names[f"{cell}_error"] = lambda code: ffi.new("char[]", b"error")
        # What the wrapper of an extension module adds, and a plain library does not have.
        names["derive_code"] = lambda: ffi.new("char[]", digest)
        return SimpleNamespace(ffi=ffi, lib=SimpleNamespace(**names), __name__=f"{cell} through dlopen")

    return made


def everything(cell, dtype, steps, batch, inputs, units):
    """The results of all calls, by name."""
    rng = np.random.default_rng(steps)

    def normal(*shape):
        return rng.normal(size=shape).astype(dtype)

    more = {word: 3 for dim, word in cell._spec.dims.items() if dim not in ("I", "H")}
    params = cell.init_params(inputs, units, dtype=dtype, seed=1, **more)
    x = normal(steps, batch, inputs)
    state = tuple(normal(batch, units) for _ in cell.STATES)
    found = {}
    found["infer"], final = cell.infer(x, params, state)
    found["out"], final, tape = cell.forward(x, params, state)
    found |= {f"final {n}": a for n, a in zip(cell.STATES, final, strict=True)}
    d_final = tuple(normal(*a.shape) for a in final)
    found |= {f"d {n}": a for n, a in cell.backward(tape, normal(*found["out"].shape), d_final).items()}
    loss, grads = cell.loss_and_grad(x, normal(*found["out"].shape), params, state)
    return found | {"loss": np.array(loss)} | {f"loss d {n}": a for n, a in grads.items()}


@pytest.mark.parametrize("cell", CELLS)
def test_all_agree(cell, module, portable, monkeypatch):
    cells = {}
    for name in [n for n in runnable() if n != "portable"]:
        monkeypatch.setenv("DERIVE_ISA", name)
        cells[name] = Cell(module.SPEC, module._kernels)
    monkeypatch.setenv("DERIVE_ISA", "base")
    cells["portable"] = Cell(module.SPEC, portable(cell))
    for real in REALS:
        for sizes in SIZES:
            results = {name: everything(c, real.dtype, *sizes) for name, c in cells.items()}
            expected = results.pop("base")
            for name, found in results.items():
                for key, value in found.items():
                    scale = max(np.linalg.norm(expected[key]), 1)  # LN of one input cancels: no digits of its own
                    error = np.linalg.norm(value - expected[key]) / scale / np.finfo(real.dtype).eps
                    assert error < 1000, f"{cell} {real.tag} {name} {sizes}: {key} differs by {error:.1f} eps"


@pytest.mark.parametrize("cell", CELLS)
def test_infer_and_forward_agree(cell, module, monkeypatch):
    """The same sums in the same order; a compiler may fuse a multiply-add in one of the two only."""
    for name in [n for n in runnable() if n != "portable"]:
        monkeypatch.setenv("DERIVE_ISA", name)
        found = everything(Cell(module.SPEC, module._kernels), np.float32, 5, 4, 3, 19)
        np.testing.assert_allclose(found["infer"], found["out"], rtol=0, atol=1e-5)


@pytest.mark.parametrize("cell", CELLS)
def test_dispatch(cell, module):
    """Buffers are padded to whole vectors, so that the size of the workspace tells which build answered."""
    ffi, lib = module._kernels.ffi, module._kernels.lib
    best = best_isa()
    for real in REALS:
        answers = {}
        for isa in range(-1, 6):
            args, sizes = ffi.new(f"{cell}_{real.tag}_args *"), ffi.new(f"{cell}_sizes *")
            args.T = args.B = 3
            for dim in module.SPEC["dims"]:
                setattr(args, dim, 1)
            args.isa = isa
            assert getattr(lib, f"{cell}_{real.tag}_sizes")(args, sizes) == 0
            answers[isa] = sizes.backward
        assert len({answers[isa] for isa in range(1, best + 1)}) == best
        assert {answers[isa] for isa in (-1, 0, *range(best, 6))} == {answers[best]}
        for isa in range(1, best):
            assert answers[isa] < answers[best]


def python(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={**{k: v for k, v in os.environ.items() if k != "DERIVE_ISA"}, **environment},
    )


SHOW = """
import derive
from derive.generated import rnn
print(derive.cpu()["isa"], {k.isa for k in rnn._cell._kernels.values()})
"""


@pytest.mark.parametrize("name", NUMBERED)
def test_environment(name):
    pytest.importorskip("derive.generated.rnn")
    done = python(SHOW, DERIVE_ISA=name)
    if NUMBERED[name] <= best_isa():
        assert done.stdout.split(" ", 1) == [name, f"{{{NUMBERED[name]}}}\n"]
    else:
        assert f"DERIVE_ISA={name}, but this processor has only base" in done.stderr


@pytest.mark.parametrize("environment", [{}, {"DERIVE_ISA": ""}])
def test_the_best_by_default(environment):
    pytest.importorskip("derive.generated.rnn")
    best = best_isa()
    assert python(SHOW, **environment).stdout == f"{next(n for n, k in NUMBERED.items() if k == best)} {{{best}}}\n"


def test_unknown_name():
    pytest.importorskip("derive.generated.rnn")
    for code in ("import derive; derive.cpu()", "from derive.generated import rnn"):
        done = python(code, DERIVE_ISA="sse9")
        assert done.returncode and "ArgumentError: DERIVE_ISA must be one of base, avx2, avx512" in done.stderr
        assert "'sse9'" in done.stderr


def test_unsupported_name(monkeypatch):
    isa = importlib.import_module("derive.runtime.core.isa")
    monkeypatch.setenv("DERIVE_ISA", "avx512")
    with pytest.raises(ValueError, match="DERIVE_ISA=avx512, but this processor has only base, avx2"):
        isa.wanted(2)
    assert isa.wanted(3) == 3


@pytest.mark.parametrize("machine", ["aarch64", "arm64"])
def test_arm_calls_its_base_neon(monkeypatch, machine):
    isa = importlib.import_module("derive.runtime.core.isa")
    module = SimpleNamespace(lib=SimpleNamespace(rnn_isa=lambda: 1))
    monkeypatch.setattr(isa.platform, "machine", lambda: machine)
    for name in ("", "base", "neon"):
        monkeypatch.setenv("DERIVE_ISA", name)
        assert isa.cpu(module, "rnn") == {"available": ("neon",), "isa": "neon"}
    monkeypatch.setenv("DERIVE_ISA", "avx2")
    with pytest.raises(ValueError, match="DERIVE_ISA=avx2, but this processor has only neon"):
        isa.wanted(1)
    monkeypatch.setenv("DERIVE_ISA", "sse9")
    with pytest.raises(ValueError, match="must be one of base, neon, avx2, avx512"):
        isa.wanted(1)


def test_cpu(monkeypatch):
    pytest.importorskip("derive.generated.rnn")
    monkeypatch.delenv("DERIVE_ISA", raising=False)
    found = derive.cpu()
    assert found == {
        "available": ("base", "avx2", "avx512")[: best_isa()],
        "isa": ("base", "avx2", "avx512")[best_isa() - 1],
    }
    monkeypatch.setenv("DERIVE_ISA", "base")
    assert derive.cpu()["isa"] == "base"


def test_importing_derive_costs_nothing():
    done = python("import derive, sys; print('derive.generated' in sys.modules, 'numpy' in sys.modules)")
    assert done.stdout == "False False\n"
