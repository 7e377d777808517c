"""An extension module that is missing, or older than the Python beside it: an ImportError that says what to do."""

import importlib
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from cells import CELLS, ROOT, load

from derive.errors import DeriveError
from derive.runtime import Cell


class Without:
    """A compiled library without some of its functions."""

    def __init__(self, lib, *names):
        self.lib, self.names = lib, names

    def __getattr__(self, name):
        if name in self.names:
            raise AttributeError(name)
        return getattr(self.lib, name)


class OtherStruct:
    """The ffi of a module that was compiled when the struct of arguments had fewer members."""

    def __init__(self, ffi, lost):
        self.ffi, self.lost = ffi, lost

    def __getattr__(self, name):
        return getattr(self.ffi, name)

    def typeof(self, text):
        made = self.ffi.typeof(text)
        if "*" in text:
            return made
        return SimpleNamespace(fields=[(name, field) for name, field in made.fields if name != self.lost])


def module(name, ffi=None, lib=None):
    kernels = load(name)._kernels
    return SimpleNamespace(
        __name__="_kernels", __file__="there/_kernels.so", ffi=ffi or kernels.ffi, lib=lib or kernels.lib
    )


def message(spec, kernels):
    with pytest.raises(ImportError) as caught:
        Cell(spec, kernels)
    assert caught.value.path == "there/_kernels.so"
    assert f"run `derive build {spec['name']}` (there/_kernels.so)" in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("cell", CELLS)
def test_the_committed_pair_is_accepted(cell):
    assert Cell(load(cell).SPEC, module(cell)).STATES == load(cell).STATES


def test_functions_that_are_missing_are_named():
    lib, spec = load("lstm")._kernels.lib, load("lstm").SPEC
    found = message(spec, module("lstm", lib=Without(lib, "lstm_parts")))
    assert found.startswith("lstm: its compiled module lacks lstm_parts: it was made from other C than lies beside it")
    found = message(spec, module("lstm", lib=Without(lib, "lstm_f64_backward", "lstm_f32_infer", "lstm_error")))
    assert "lacks lstm_error and 2 more" in found


@pytest.mark.parametrize("lost", ["tape_every", "meeting", "bias", "c_0", "T"])
def test_members_that_are_missing_are_named(lost):
    ffi = load("lstm")._kernels.ffi
    found = message(load("lstm").SPEC, module("lstm", ffi=OtherStruct(ffi, lost)))
    assert f"lacks lstm_f32_args.{lost} and 1 more" in found


def test_other_code():
    """The same functions and members, such as those of a cell whose gates have changed places."""
    spec = load("gru").SPEC
    other = {**spec, "code": "0123456789abcdef"}
    found = message(other, module("gru"))
    assert f"has the digest {spec['code']}, and the C beside the Python 0123456789abcdef" in found
    lib = load("gru")._kernels.lib
    assert "has the digest none" in message(spec, module("gru", lib=Without(lib, "derive_code")))


@pytest.fixture
def copied(tmp_path, monkeypatch):
    """The package of the RNN without its compiled module, as `copied.rnn`."""
    package = tmp_path / "copied"
    (package / "rnn").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    shutil.copy(ROOT / "generated" / "rnn" / "__init__.py", package / "rnn")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield package / "rnn"
    for name in [n for n in sys.modules if n.partition(".")[0] == "copied"]:
        del sys.modules[name]


def test_not_compiled(copied):
    words = "copied.rnn: it has no compiled module `_kernels` for this Python; run `derive build rnn`"
    with pytest.raises(ImportError, match=words):
        importlib.import_module("copied.rnn")


def test_a_module_that_cannot_be_loaded(copied):
    own = Path(load("rnn")._kernels.__file__)
    (copied / own.name).write_text("no library")
    with pytest.raises(ImportError, match=r"`_kernels` cannot be loaded \(.*\); run `derive build rnn`"):
        importlib.import_module("copied.rnn")


def test_load_says_it_as_commands_do(copied, monkeypatch):
    import derive
    from derive import generated

    monkeypatch.setattr(generated, "__path__", [str(copied.parent)])
    for name in ("derive.generated.rnn", "derive.generated.rnn._kernels"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    with pytest.raises(DeriveError, match=r"derive\.generated\.rnn: it has no compiled module.*run `derive build rnn`"):
        derive.load("rnn")


def test_the_comparison_takes_no_time():
    """Importing a cell is not slower for it: some calls, and no file is opened."""
    code = (
        "import sys, derive.generated.lstm as m; from derive.runtime.core.extension import check_compiled as f; "
        "from derive.runtime.core.spec import Spec; s = Spec(m.SPEC); f(s, m._kernels); seen = []; "
        "sys.addaudithook(lambda event, _: seen.append(event)); sys.setprofile(lambda *_: seen.append('call')); "
        "f(s, m._kernels); sys.setprofile(None); print(len(seen), 'open' in seen)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    events, opened = done.stdout.split()
    assert int(events) < 1000 and opened == "False"
