"""A module that does not compute what its equations say is not handed out: wrong, crashing, endless, or odd in another way."""

import pickle
import subprocess
import sys

import numpy as np
import pytest
from small_cells import CELL, cell_of, quick_compiler

import derive
from derive import building, generation, registry
from derive.errors import DeriveError
from derive.toolchain import compiler, loading
from derive.verify import acceptance
from derive.verify.acceptance import process

# What happens at the end of a call of the module; `a` are its arguments.
FAULTS = {
    "a sign": "a->d_bias[0] = -a->d_bias[0];",
    "a result that is not written": "a->d_bias[0] = a->d_bias[a->H - 1];",
    "one number too far": "a->d_bias[a->H] += 1;",
    "in front of its array": "a->d_bias[-1] += 1;",
    "an input that is changed": "((double *)a->bias)[0] += 1;",
    "far outside": "a->d_bias[(size_t)1 << 40] = 0;",
    "a trap": "__builtin_trap();",
    "abort": "abort();",
    "the end of the process": "exit(0);",
    "at the end of the process": "atexit(abort);",
    "an error code": "return 7;",
    "no end": "for (volatile int on = 1; on;) {}",
}
SAID = {
    "a sign": "gradient",
    "far outside": "the module crashed: SIGSEGV, it accessed memory that is not its own",
    "a trap": "the module crashed: SIG",
    "abort": "the module crashed: SIGABRT",
    "the end of the process": "the module ended the process that examined it, with status 0",
    "at the end of the process": "the module crashed: SIGABRT",
    "no end": "the comparison did not end within 5 seconds",
}


@pytest.fixture(scope="module", autouse=True)
def fast(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CC", str(quick_compiler(tmp_path_factory.mktemp("compiler"))))
        yield


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("DERIVE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(loading, "_loaded", {})
    monkeypatch.setattr(building, "_examined", set())
    return tmp_path / "cache"


def broken(made, name, fault):
    """The files of a cell, with something that happens at the end of `backward` in float64."""
    call, file = f"{name}_f64_backward", f"{name}_dispatch.c"
    text = made[file].replace(f"int {call}(const", "static int honest(const")
    assert text != made[file]
    wrapper = (
        f"int {call}(const {name}_f64_args *a) {{ const int r = honest(a); if (r) return r; {fault} return 0; }}\n"
    )
    return {**made, file: f"#include <stdlib.h>\n{text}\n{wrapper}"}


@pytest.fixture
def engine(monkeypatch):
    """Breaks the engine: what it emits is not what the equations say."""
    files = generation.files

    def with_fault(fault):
        def emitted(cell, loss=None, documented=True):
            return broken(files(cell, loss, documented), cell.name, fault)

        monkeypatch.setattr(generation, "files", emitted)

    return with_fault


@pytest.mark.parametrize("fault", FAULTS)
def test_a_module_that_is_wrong_is_not_handed_out(tmp_path, cache, engine, fault):
    """The message says whose fault it is, what differs, where the report is; nothing stays that would be loaded later."""
    engine(FAULTS[fault])
    cell = cell_of(tmp_path)
    with pytest.raises(acceptance.Rejected) as caught:
        building._build(cell, limit=5 if fault == "no end" else acceptance.LIMIT)
    rejected, message = caught.value, str(caught.value)
    assert message.startswith(
        "mine: the compiled module does not compute what the equations say. This is a fault of the"
    )
    assert SAID.get(fault, "") in message and str(rejected.report) in message and rejected.findings
    assert [p.name for p in cache.iterdir()] == ["reports"]
    assert loading._loaded == {}


def test_output_of_the_module_is_no_matter(tmp_path, engine, capfd):
    """What a module prints does not come between its examiner and us, however much it is."""
    engine('extern int puts(const char *); for (int k = 0; k < 2000; ++k) puts("{\\"findings\\": [1]}");')
    assert derive.build(cell_of(tmp_path)).STATES == ("h",)
    assert capfd.readouterr() == ("", "")


def test_the_report(tmp_path, cache, engine):
    """It has what is needed to see the failure again, and sees that it is gone when the engine is right again."""
    engine(FAULTS["a sign"])
    cell, sizes = cell_of(tmp_path), {"H": 5}
    for _ in range(2):  # the same failure has one report
        with pytest.raises(acceptance.Rejected) as caught:
            derive.build(cell, sizes=sizes)
    report = caught.value.report
    assert list((cache / "reports").iterdir()) == [report]
    assert {"README.txt", "findings.txt", "equations.txt", "output.txt", "case.pickle", "mine.h", "mine_f64.c"} <= {
        p.name for p in report.iterdir()
    }
    assert (report / "findings.txt").read_text().splitlines() == caught.value.findings
    summary = (report / "README.txt").read_text()
    for part in (
        "mine, equations",
        "fixed sizes     H=5",
        "loss squared_error",
        compiler.version().splitlines()[0],
        "flags",
    ):
        assert part in summary
    assert "h[t, n] = tanh(U_h[t, n]" in (report / "equations.txt").read_text()
    read, loss, fixed = pickle.loads((report / "case.pickle").read_bytes())
    assert read.program().digest == cell.program().digest and loss is None and fixed == sizes
    again = [sys.executable, "-m", "derive.verify.acceptance", str(report)]
    done = subprocess.run(again, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stdout.startswith("mine: the module passes now"), done.stdout + done.stderr


def test_a_crash_says_where(tmp_path, engine):
    """The report has the lines of Python that called the module when it crashed."""
    engine(FAULTS["far outside"])
    with pytest.raises(acceptance.Rejected) as caught:
        derive.build(cell_of(tmp_path))
    assert "derive/verify" in (caught.value.report / "output.txt").read_text()


def test_a_report_that_cannot_be_written(tmp_path, engine, monkeypatch):
    """The module is refused all the same."""

    def full(*_):
        raise OSError(28, "No space left on device")

    engine(FAULTS["a sign"])
    monkeypatch.setattr(acceptance.report.files, "publish", full)
    with pytest.raises(
        acceptance.Rejected, match=r"fault of the engine(?s:.*)The report could not be written: .*No space"
    ):
        derive.build(cell_of(tmp_path))


def test_a_rejection_can_be_sent(tmp_path):
    """To the process that asked another to build: message, findings and report."""
    sent = pickle.loads(pickle.dumps(acceptance.Rejected("words", ["a finding"], tmp_path)))
    assert (str(sent), sent.findings, sent.report) == ("words", ["a finding"], tmp_path)


@pytest.mark.parametrize("words", [[], ["/nowhere"], ["a", "b"]])
def test_a_report_that_is_none(words):
    done = subprocess.run(
        [sys.executable, "-m", "derive.verify.acceptance", *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2 and done.stderr.startswith("usage: python -m derive.verify.acceptance REPORT"), (
        done.stderr
    )


# -- what passes -------------------------------------------------------------------------------------------------------


class Counting(acceptance.Examiner):
    """An examiner that keeps count."""

    asked = 0

    def examine(self, case, extension, limit=acceptance.LIMIT):
        type(self).asked += 1
        super().examine(case, extension, limit)


@pytest.fixture
def asked(monkeypatch):
    monkeypatch.setattr(Counting, "asked", 0)
    monkeypatch.setattr(acceptance, "Examiner", Counting)
    return lambda: Counting.asked


def test_it_is_examined_once(tmp_path, cache, asked, monkeypatch):
    """Also by later processes; for another instruction set, and by a better examiner, once more; the stamp has all three."""
    cell = cell_of(tmp_path)
    module = derive.build(cell)
    assert derive.build(cell) is module and asked() == 1
    loading._loaded.clear()  # as a later process
    derive.build(cell)
    assert asked() == 1
    monkeypatch.setenv("DERIVE_ISA", "base")
    for _ in range(2):
        loading._loaded.clear()
        derive.build(cell)
        assert asked() == 2
    monkeypatch.delenv("DERIVE_ISA")
    monkeypatch.setattr(acceptance.case, "_program", lambda: "another")
    for _ in range(2):
        loading._loaded.clear()
        derive.build(cell)
        assert asked() == 3
    stamp = next(cache.glob("mine_*/stamp.json")).read_text()
    assert stamp.count("best ") == 2 and stamp.count("base ") == 1


def test_a_module_that_was_not_examined_is_examined_later(tmp_path, asked, engine, cache):
    """Inside the project a module may do without; a caller of `derive.build` does not get it so."""
    cell = cell_of(tmp_path)
    module = building._build(cell, examined=False)
    assert asked() == 0
    assert derive.build(cell) is module and asked() == 1
    engine(FAULTS["a sign"])
    building._build(cell, examined=False)
    assert len(list(cache.glob("mine_*"))) == 2
    for _ in range(2):  # also where it lies in the cache already
        with pytest.raises(acceptance.Rejected):
            derive.build(cell)
        assert len(list(cache.glob("mine_*"))) == 1
    assert asked() == 3


def test_the_process_starts_before_the_compiler(tmp_path, monkeypatch):
    """So that its imports cost no time; and it ends, whatever becomes of the compilation."""
    started, ended = [], []

    class Noted(acceptance.Examiner):
        def __init__(self):
            super().__init__()
            started.append(self._process)

        def __exit__(self, *what):
            super().__exit__(*what)
            ended.append(self._process.poll())

    def fails(*_):
        assert len(started) == 1 and started[0].poll() is None
        raise DeriveError("the compiler fails")

    monkeypatch.setattr(acceptance, "Examiner", Noted)
    monkeypatch.setattr(compiler, "compile_into", fails)
    with pytest.raises(DeriveError, match="the compiler fails"):
        derive.build(cell_of(tmp_path))
    assert len(ended) == 1 and ended[0] is not None


def test_loss_and_sizes_are_those_of_the_build(tmp_path, asked):
    """A module with fixed sizes refuses all others: the examiner keeps to them."""
    loss = registry.loss("squared_error")
    module = derive.build(cell_of(tmp_path), loss, {"H": np.int64(5), "B": 2})
    assert asked() == 1
    params = module.init_params(3, 5, dtype=np.float64, seed=0)
    x = np.ones((4, 2, 3))
    out = module.infer(x, params)[0]
    assert out.shape == (4, 2, 5)
    # A batch that is fixed is not split among threads: C would refuse the parts of it.
    np.testing.assert_array_equal(module.infer(x, params, threads=2)[0], out)
    assert module.memory(3, 5, steps=4, batch=2, threads=2).total > 0


def test_a_cell_without_a_file(asked):
    """Written in a notebook, in a string, in a function: the other process gets the equations and not the source."""
    space = {"__name__": "__main__"}
    exec(CELL.format(function="tanh").replace("mine", "scratch"), space)
    assert derive.build(space["scratch"]).STATES == ("h",) and asked() == 1


@pytest.mark.parametrize("name", registry.shipped())
def test_every_shipped_cell_can_be_sent(name):
    cell = registry.cell(name)
    sent = pickle.loads(pickle.dumps(cell))
    assert sent.source == cell.source and sent.program().digest == cell.program().digest and sent.doc == cell.doc


@pytest.mark.parametrize("name", registry.losses())
def test_every_loss_can_be_sent(name):
    loss = registry.losses()[name]
    assert pickle.loads(pickle.dumps(loss)).source == loss.source


# -- derive build ------------------------------------------------------------------------------------------------------


def test_shipped_cells_are_examined(tmp_path, asked, monkeypatch):
    """`derive build` examines what it compiles, and what an installation compiled, once."""
    folder = tmp_path / "rnn"
    generation.write(folder, generation.files(registry.cell("rnn")))
    made = building.compile_generated(folder)
    assert made.is_file() and asked() == 1
    building.compile_generated(folder)
    assert asked() == 1
    compiler.note(folder, "_kernels", compiler.made_from(folder))  # the same module: who accepted it is not forgotten
    building.compile_generated(folder)
    assert asked() == 1
    (folder / "_kernels.stamp").unlink()
    compiler.note(folder, "_kernels", compiler.made_from(folder))  # as setup.py notes it
    monkeypatch.setattr(compiler, "compile_into", None)  # nothing is compiled for this
    building.compile_generated(folder)
    assert asked() == 2
    building.compile_generated(folder)
    assert asked() == 2


def test_a_shipped_cell_that_is_wrong(tmp_path):
    """It does not take its place, and what an installation compiled from the same C goes."""
    folder = tmp_path / "rnn"
    generation.write(folder, broken(generation.files(registry.cell("rnn")), "rnn", FAULTS["a sign"]))
    before = sorted(folder.iterdir())
    with pytest.raises(acceptance.Rejected, match="rnn: the compiled module does not compute"):
        building.compile_generated(folder)
    assert sorted(folder.iterdir()) == before
    compiler.compile_folder(folder)
    assert len(list(folder.iterdir())) == len(before) + 2
    with pytest.raises(acceptance.Rejected):
        building.compile_generated(folder)
    assert sorted(folder.iterdir()) == before


# -- what keeps it from being examined ---------------------------------------------------------------------------------


def test_a_process_that_cannot_be_started(tmp_path, cache, monkeypatch):
    for name in ("", "/nowhere/python", sys.executable + ".none"):
        monkeypatch.setattr("multiprocessing.spawn._python_exe", name)
        with pytest.raises(
            DeriveError, match=r"compared with its equations in a process of its own, and that could not be"
        ):
            derive.build(cell_of(tmp_path))
        assert list(cache.iterdir()) == []


@pytest.mark.parametrize("warm", [False, True])
def test_an_instruction_set_that_is_none(tmp_path, monkeypatch, warm):
    """That is no fault of the engine; the message is that of the runtime, with or without a module in the cache."""
    cell = cell_of(tmp_path)
    if warm:
        derive.build(cell)
        loading._loaded.clear()
        building._examined.clear()
    monkeypatch.setenv("DERIVE_ISA", "mmx")
    with pytest.raises(DeriveError, match=r"DERIVE_ISA must be one of .*; found 'mmx'") as caught:
        derive.build(cell)
    assert not isinstance(caught.value, acceptance.Rejected)


def test_a_process_that_cannot_import(tmp_path, cache, monkeypatch):
    monkeypatch.setattr(process, "_path", lambda: ["/nowhere"])
    with pytest.raises(
        DeriveError, match=r"(?s)could not be done: .* ended with status 1 before it could begin:.*Error"
    ) as e:
        derive.build(cell_of(tmp_path))
    assert not isinstance(e.value, acceptance.Rejected) and list(cache.iterdir()) == []


def test_a_folder_full_of_traps(tmp_path, monkeypatch):
    """The process does not import what happens to lie where it is started."""
    for name in ("json", "numpy", "sympy", "pickle", "derive"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('a trap')")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cell").mkdir()
    assert derive.build(cell_of(tmp_path / "cell")).STATES == ("h",)


def test_not_enough_memory(tmp_path, cache):
    """Sizes that no machine has memory for: said as such, for it is no fault of the engine."""
    with pytest.raises(
        DeriveError, match=r"there is not enough memory for it at the fixed sizes H=2000000000"
    ) as caught:
        derive.build(cell_of(tmp_path), sizes={"H": 2_000_000_000})
    assert not isinstance(caught.value, acceptance.Rejected) and list(cache.iterdir()) == []


def test_nothing_stays_of_an_interrupted_build(tmp_path, cache, monkeypatch):
    """Ctrl-C while it is examined: the cache is as before."""

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(acceptance.Examiner, "examine", interrupted)
    with pytest.raises(KeyboardInterrupt):
        derive.build(cell_of(tmp_path))
    assert list(cache.iterdir()) == []
