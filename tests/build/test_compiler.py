"""Building: the cache and its key, broken and absent compilers, folders that cannot be written, two builds at once."""

import os
import shutil
import stat
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from small_cells import CELL, USE, cell_of, python, quick_compiler

import derive
from derive import generation, registry
from derive.errors import DeriveError
from derive.losses.readout import readout
from derive.toolchain import compiler


@pytest.fixture(autouse=True)
def fast(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("CC", str(quick_compiler(tmp_path_factory.mktemp("compiler"))))


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("DERIVE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def counted(tmp_path, monkeypatch, fast):
    """A compiler that keeps a record of what it is asked to compile or link."""
    real = compiler.command()[0]
    script = tmp_path / "counting-cc"
    script.write_text(f'#!/bin/sh\ncase " $* " in *" -o "*) echo "$*" >> {tmp_path}/record;; esac\nexec {real} "$@"\n')
    script.chmod(0o755)
    monkeypatch.setenv("CC", str(script))

    def runs():
        record = tmp_path / "record"
        return len(record.read_text().splitlines()) if record.exists() else 0

    return runs


# -- the cache ---------------------------------------------------------------------------------------------------------


def test_the_second_call_compiles_nothing(tmp_path, cache, counted, capfd):
    cell = cell_of(tmp_path)
    module = derive.build(cell)
    first = counted()
    assert first == 9  # seven sources, cffi's wrapper, the link
    assert derive.build(cell) is module
    assert derive.build(cell_of(tmp_path)) is module  # equal equations from another file
    done = python(CELL.format(function="tanh") + USE)  # another process
    assert "True" in done.stdout, done.stderr
    assert counted() == first
    assert capfd.readouterr() == ("", "")


def test_nothing_is_printed(tmp_path, capfd):
    folder = tmp_path / "rnn"
    generation.write(folder, generation.files(registry.cell("rnn")))
    assert compiler.compile_folder(folder).is_file()
    assert capfd.readouterr() == ("", "")


def test_compiling_in_place_notices_changes(tmp_path, counted):
    folder = tmp_path / "rnn"
    generation.write(folder, generation.files(registry.cell("rnn")))
    made = compiler.compile_folder(folder)
    first = counted()
    assert compiler.compile_folder(folder) == made and counted() == first
    (folder / "rnn_dispatch.c").write_text((folder / "rnn_dispatch.c").read_text() + "/* changed */\n")
    compiler.compile_folder(folder)
    assert counted() == 2 * first
    made.unlink()
    compiler.compile_folder(folder)
    assert counted() == 3 * first


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    folder = tmp_path_factory.mktemp("key") / "rnn"
    generation.write(folder, generation.files(registry.cell("rnn")))
    return folder


def test_headers_beside_the_folder_are_read_and_part_of_the_key(sources, tmp_path, counted):
    """As generated/ has them, in _lib; those in the folder itself come first."""
    folder, shared = tmp_path / "rnn", tmp_path / "_lib"
    shutil.copytree(sources, folder)
    whole = compiler.made_from(folder)
    shared.mkdir()
    for path in compiler.shared(folder):
        path.rename(shared / path.name)
    assert compiler.made_from(folder) == whole and compiler.includes(folder) == [folder, shared]
    compiler.compile_folder(folder)
    first = counted()
    (shared / "derive_gemm.h").write_text((shared / "derive_gemm.h").read_text() + "/* changed */\n")
    compiler.compile_folder(folder)
    assert compiler.made_from(folder) != whole and counted() == 2 * first
    shutil.copy(sources / "derive_gemm.h", folder)
    assert compiler.made_from(folder) == whole


def test_a_header_that_is_nowhere_is_named_with_both_places(sources, tmp_path):
    folder = tmp_path / "rnn"
    shutil.copytree(sources, folder)
    (folder / "derive_team.h").unlink()
    for work in (compiler.compile_folder, compiler.made_from, compiler.includes):
        with pytest.raises(DeriveError, match=r"the C of rnn reads derive_team\.h, which is neither in") as caught:
            work(folder)
        assert f"{folder} nor in {tmp_path / '_lib'}: `derive build` writes it" in str(caught.value)


def test_the_key_is_stable(sources, tmp_path):
    elsewhere = tmp_path / "other"
    shutil.copytree(sources, elsewhere)
    assert compiler.made_from(sources) == compiler.made_from(sources) == compiler.made_from(elsewhere)


@pytest.mark.parametrize(
    "what", ["flags", "compiler", "version", "processor", "python", "source", "header", "a new file"]
)
def test_the_key_changes(sources, tmp_path, monkeypatch, what):
    folder = tmp_path / "rnn"
    shutil.copytree(sources, folder)
    before = compiler.made_from(folder)
    if what == "flags":
        monkeypatch.setattr(compiler, "FLAGS", (*compiler.FLAGS, "-g"))
    elif what == "compiler":
        monkeypatch.setenv("CC", f"{compiler.command()[0]} -pipe")
    elif what == "version":
        script = tmp_path / "cc"
        monkeypatch.setenv("CC", str(script))
        for number in (1, 2):
            script.write_text(f"#!/bin/sh\necho cc {number}\n")
            script.chmod(0o755)
            before, last = compiler.made_from(folder), before
        assert last != before
        return
    elif what == "processor":
        monkeypatch.setattr(compiler, "cpu_features", lambda: "fpu only")
    elif what == "python":
        monkeypatch.setattr(sys, "version", "4.0")
    elif what == "a new file":
        (folder / "more.h").write_text("\n")
    else:
        path = folder / ("rnn_f32.c" if what == "source" else "rnn.h")
        path.write_text(path.read_text() + "\n")
    assert compiler.made_from(folder) != before


def test_cpu_features_are_sorted_and_stable():
    found = compiler.cpu_features().split()
    assert found == sorted(found) and compiler.cpu_features() == " ".join(found)


# -- what goes wrong ---------------------------------------------------------------------------------------------------


def test_a_compiler_that_fails(tmp_path, cache, monkeypatch):
    script = tmp_path / "broken-cc"
    script.write_text("#!/bin/sh\necho 'internal error: the moon is full' >&2\nexit 1\n")
    script.chmod(0o755)
    monkeypatch.setenv("CC", str(script))
    with pytest.raises(DeriveError, match=r"(?s)compiling mine.* failed.*the moon is full"):
        derive.build(cell_of(tmp_path))
    monkeypatch.delenv("CC")
    assert derive.build(cell_of(tmp_path)).STATES == ("h",)  # what failed left nothing behind that is in the way


def test_source_that_is_no_c(tmp_path):
    folder = tmp_path / "rnn"
    generation.write(folder, generation.files(registry.cell("rnn")))
    (folder / "rnn_f32.c").write_text("this is no C\n")
    with pytest.raises(DeriveError, match=r"(?s)compiling rnn failed \(.*rnn_f32.*\):.*error"):
        compiler.compile_folder(folder)


@pytest.mark.parametrize("given", ["/nowhere/cc", "no-such-compiler -O2"])
def test_no_compiler(tmp_path, cache, monkeypatch, given):
    monkeypatch.setenv("CC", given)
    with pytest.raises(
        DeriveError, match=f"no C compiler: '{given.split()[0]}' cannot be run; install gcc or clang, or set CC"
    ):
        derive.build(cell_of(tmp_path))


def test_a_compiler_that_is_no_program(tmp_path, cache, monkeypatch):
    (tmp_path / "cc").write_text("not executable")
    monkeypatch.setenv("CC", str(tmp_path / "cc"))
    with pytest.raises(DeriveError, match="no C compiler"):
        derive.build(cell_of(tmp_path))


def test_the_compiler_may_have_arguments(tmp_path, cache, monkeypatch):
    monkeypatch.setenv("CC", f"{compiler.command()[0]} -pipe -DNOTHING='a b'")
    assert derive.build(cell_of(tmp_path, "sigmoid")).STATES == ("h",)


def test_a_cache_that_is_no_folder(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DERIVE_CACHE", str(tmp_path / "file"))
    with pytest.raises(DeriveError, match=r"cannot build in .*file.*DERIVE_CACHE"):
        derive.build(cell_of(tmp_path))


@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may write everywhere")
def test_a_cache_that_cannot_be_written(tmp_path, monkeypatch):
    closed = tmp_path / "closed"
    closed.mkdir()
    closed.chmod(stat.S_IRUSR | stat.S_IXUSR)
    monkeypatch.setenv("DERIVE_CACHE", str(closed))
    with pytest.raises(DeriveError, match=r"cannot build in .*closed.*Permission denied.*DERIVE_CACHE"):
        derive.build(cell_of(tmp_path))


def test_a_full_disk_while_compiling(tmp_path, monkeypatch):
    folder = tmp_path / "rnn"
    generation.write(folder, generation.files(registry.cell("rnn")))

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(compiler.shutil, "copy", full)
    with pytest.raises(DeriveError, match="No space left on device"):
        compiler.compile_folder(folder)


@pytest.mark.parametrize("thing", [None, "lstm", np.tanh, registry])
def test_what_is_no_cell(thing):
    with pytest.raises(DeriveError, match=r"derive\.build takes a cell made by the @cell decorator, found"):
        derive.build(thing)


@pytest.mark.parametrize("thing", ["squared_error", 5, registry.cell("rnn"), readout])
def test_what_is_no_loss(thing):
    with pytest.raises(
        DeriveError, match="rnn: loss= takes a loss made by the @loss decorator, or None for the squared"
    ):
        derive.build(registry.cell("rnn"), loss=thing)


@pytest.mark.parametrize("thing", ["H", 5, [("H", 4)]])
def test_what_are_no_sizes(thing):
    with pytest.raises(DeriveError, match="rnn: sizes= takes a dict such as"):
        derive.build(registry.cell("rnn"), sizes=thing)


# -- more than one -----------------------------------------------------------------------------------------------------


def test_two_processes_at_once(tmp_path, cache):
    code = CELL.format(function="tanh") + USE
    with ThreadPoolExecutor(3) as pool:
        done = list(pool.map(lambda _: python(code), range(3)))
    assert [d.returncode for d in done] == [0, 0, 0], "".join(d.stderr for d in done)
    assert len({d.stdout for d in done}) == 1 and done[0].stdout.endswith("True\n")
    assert len(list(cache.iterdir())) == 1, "what a build needed for a while is still there"
    assert not [p for p in next(cache.iterdir()).iterdir() if p.name.startswith(".")]


def test_two_threads_at_once(tmp_path, cache):
    cell = cell_of(tmp_path, "sigmoid")
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(derive.build, [cell, cell])
    x = np.ones((2, 3), np.float32)
    params = first.init_params(3, 4, dtype=np.float32, seed=0)
    np.testing.assert_array_equal(first.infer(x, params)[0], second.infer(x, params)[0])


def test_an_attempt_that_was_cut_off(tmp_path, cache):
    """A folder without its manifest, which is written last, is written again."""
    cell = cell_of(tmp_path)
    folder = Path(derive.build(cell).__file__).parent
    for path in folder.iterdir():
        path.unlink()
    (folder / "mine.h").write_text("half a hea")
    done = python(CELL.format(function="tanh") + USE)
    assert done.stdout.endswith("True\n"), done.stderr


def test_one_name_two_cells(tmp_path, cache):
    tanh, sigmoid = derive.build(cell_of(tmp_path, "tanh")), derive.build(cell_of(tmp_path, "sigmoid"))
    assert tanh is not sigmoid and tanh.SPEC["name"] == sigmoid.SPEC["name"] == "mine"
    x, params = np.ones((1, 3)), tanh.init_params(3, 4, dtype=np.float64, seed=0)
    z = params["weight_ih"] @ x[0] + params["bias"]
    np.testing.assert_allclose(tanh.infer(x, params)[0][0], np.tanh(z), rtol=1e-14)
    np.testing.assert_allclose(sigmoid.infer(x, params)[0][0], 1 / (1 + np.exp(-z)), rtol=1e-14)
    tape = tanh.forward(x, params)[2]
    with pytest.raises(ValueError, match="another build of mine"):
        sigmoid.backward(tape, np.ones((1, 4)))


def test_another_loss_is_another_module(tmp_path, cache):
    assert derive.build(cell_of(tmp_path)) is derive.build(cell_of(tmp_path), registry.loss("squared_error"))


# -- what is loaded ----------------------------------------------------------------------------------------------------


def test_a_compiled_cell_needs_neither_engine_nor_compiler():
    pytest.importorskip("derive.generated.lstm")
    done = python(
        """
        import sys
        from derive.generated import lstm
        import derive
        assert derive.load("lstm") is lstm
        params = lstm.init_params(3, 4)
        heavy = {"sympy", "jinja2", "mpmath", "derive.toolchain.compiler", "derive.ir", "cffi.recompiler", "pycparser"}
        print(sorted(heavy & set(sys.modules)))
    """,
        CC="/nowhere/cc",
        PATH="/nowhere",
    )
    assert done.stdout == "[]\n", done.stdout + done.stderr


@pytest.mark.slow
def test_the_wheel(tmp_path):
    """Built from a copy of the checkout, unpacked elsewhere: its cells are compiled, and no engine loads."""
    source = tmp_path / "source"
    leave = shutil.ignore_patterns(
        ".git", ".venv", "*.so", "*.stamp", "build", "dist", "*.egg-info", "__pycache__", ".*_cache"
    )
    shutil.copytree(generation.ROOT, source, ignore=leave)
    made = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", tmp_path, source],
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    wheel = next(tmp_path.glob("*.whl"))
    shutil.unpack_archive(wheel, tmp_path / "site", "zip")
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            textwrap.dedent("""
        import sys
        from derive.generated import lstm, gru, rnn, lstm_peephole, lstm_layernorm, lstm_toy, lstm_readout
        import numpy as np
        out, _ = lstm.infer(np.ones((2, 3), np.float32), lstm.init_params(3, 4, dtype=np.float32, seed=0))
        print(lstm.__file__, sorted({"sympy", "jinja2"} & set(sys.modules)))
    """),
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
    )
    assert done.stdout.startswith(str(tmp_path / "site")) and done.stdout.endswith("[]\n"), done.stdout + done.stderr
