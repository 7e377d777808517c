"""The cache: one builder at a time, only what is whole is loaded, and only from a folder that no other user can change."""

import contextlib
import json
import os
import pickle
import shutil
import stat
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from small_cells import CELL, USE, cell_of, python, quick_compiler, script

import derive
from derive import building, generation, registry
from derive.errors import DeriveError
from derive.toolchain import cache, compiler, loading
from derive.toolchain.cache import entry, files, locks

FUNCTIONS = ("init_params", "infer", "forward", "backward", "loss_and_grad", "plan", "memory")


@pytest.fixture(scope="module", autouse=True)
def fast(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CC", str(quick_compiler(tmp_path_factory.mktemp("compiler"))))
        yield


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A cell, and the cache folder that holds its module, whole."""
    home = tmp_path_factory.mktemp("built")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DERIVE_CACHE", str(home / "cache"))
        patch.setattr(loading, "_loaded", {})
        patch.setattr(building, "_examined", set())
        cell = cell_of(home)
        folder = Path(derive.build(cell).__file__).parent
    return cell, folder


@pytest.fixture
def mine(built, tmp_path, monkeypatch):
    """The cell, and a cache of its own with a copy of the entry; no module of it is loaded yet."""
    cell, folder = built
    shutil.copytree(folder.parent, tmp_path / "cache")
    monkeypatch.setenv("DERIVE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(loading, "_loaded", {})
    monkeypatch.setattr(building, "_examined", set())
    return cell, tmp_path / "cache" / folder.name


@pytest.fixture
def compilations(built, monkeypatch):
    """Who was compiled; compiler and examiner are quick, for they have done this before."""
    (done,) = built[1].glob("_kernels*")
    record = []

    def copy(target, folder, module, defines=()):
        record.append(module)
        shutil.copy(done, target)

    monkeypatch.setattr(compiler, "compile_into", copy)
    monkeypatch.setattr(building.acceptance, "Examiner", Lenient)
    return record


class Lenient(contextlib.AbstractContextManager):
    """An examiner that accepts whatever is whole."""

    def __exit__(self, *_):
        pass

    def examine(self, case, extension, limit):
        assert (case.folder / "manifest.json").is_file() and extension.is_file()


def works(module):
    assert all(callable(getattr(module, name)) for name in FUNCTIONS)
    params = module.init_params(3, 4, dtype=np.float64, seed=0)
    x = np.ones((1, 3))
    expected = np.tanh(params["weight_ih"] @ x[0] + params["bias"])
    np.testing.assert_allclose(module.infer(x, params)[0][0], expected, rtol=1e-14)


def left(folder):
    """What lies in a cache beside its entries."""
    return sorted(p.name for p in folder.iterdir() if p.name.startswith("."))


# -- one builder at a time ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("warm", [True, False])
def test_eight_threads_at_once(mine, compilations, warm):
    """All get one module, and a whole one; it is compiled once."""
    cell, folder = mine
    if not warm:
        shutil.rmtree(folder)
    start = threading.Barrier(8)

    def one(_):
        start.wait()
        module = derive.build(cell)
        works(module)
        return module

    with ThreadPoolExecutor(8) as pool:
        modules = list(pool.map(one, range(8)))
    assert len(set(map(id, modules))) == 1
    assert len(compilations) == (0 if warm else 1)
    assert left(folder.parent) == []


def test_a_module_is_loaded_once(mine, monkeypatch):
    """However long that takes: all who ask meanwhile wait for it."""
    cell, _ = mine
    load, times = loading.load, []

    def slowly(*what):
        times.append(what)
        threading.Event().wait(0.3)
        return load(*what)

    monkeypatch.setattr(loading, "load", slowly)
    with ThreadPoolExecutor(4) as pool:
        modules = set(map(id, pool.map(derive.build, [cell] * 4)))
    assert len(modules) == len(times) == 1


def test_four_processes_at_once(tmp_path, monkeypatch):
    """One compiles, the others wait for it and find the module."""
    monkeypatch.setenv("DERIVE_CACHE", str(tmp_path / "cache"))
    real = os.environ["CC"]
    keeps_count = f'case " $* " in *" -shared "*) echo x >> {tmp_path}/record;; esac\nexec {real} "$@"'
    monkeypatch.setenv("CC", str(script(tmp_path / "cc", keeps_count)))
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda _: python(CELL.format(function="tanh") + USE), range(4)))
    assert [d.returncode for d in done] == [0] * 4, "".join(d.stderr for d in done)
    assert len({d.stdout for d in done}) == 1 and done[0].stdout.endswith("True\n")
    assert (tmp_path / "record").read_text() == "x\n"
    assert left(tmp_path / "cache") == []


def test_a_builder_that_was_killed(mine, compilations):
    """Its lock ends with it, and what it left is swept up; so is what another entry's builder left, who is not at work."""
    cell, folder = mine
    shutil.rmtree(folder)
    lock = folder.parent / f".{folder.name}.lock"
    code = f"""
        import os, signal, sys
        from pathlib import Path
        from derive.toolchain.cache import locks
        with locks.exclusive(Path({str(lock)!r})) as alone:
            assert alone
            os.kill(os.getpid(), signal.SIGKILL)
    """
    assert python(code).returncode < 0
    assert lock.exists()
    for name in (f".{folder.name}.abc123", ".another_0123.abc123", ".another_0123.abc123-old"):
        (folder.parent / name).mkdir()
        (folder.parent / name / "half.so").write_text("half")
    works(derive.build(cell))
    assert compilations == [f"_kernels_{folder.name[-16:]}"] and left(folder.parent) == []


def test_what_another_builder_is_working_on_stays(mine, compilations):
    cell, folder = mine
    shutil.rmtree(folder)
    (folder.parent / ".another_0123.abc123").mkdir()
    with locks.exclusive(folder.parent / ".another_0123.lock"):
        works(derive.build(cell))
        assert left(folder.parent) == [".another_0123.abc123", ".another_0123.lock"]


def test_a_lock_is_held_by_one(tmp_path):
    """Among threads, and among processes: sixteen add to a number without a lock of its own."""
    place, number = tmp_path / "lock", tmp_path / "number"
    number.write_text("0")

    def add():
        for _ in range(25):
            with locks.exclusive(place) as alone:
                assert alone
                number.write_text(str(int(number.read_text()) + 1))

    code = f"""
        import sys
        from pathlib import Path
        from derive.toolchain.cache import locks
        for _ in range(25):
            with locks.exclusive(Path({str(place)!r})):
                number = Path({str(number)!r})
                number.write_text(str(int(number.read_text()) + 1))
    """
    threads = [threading.Thread(target=add) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        processes = [pool.submit(python, code) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [p.result().returncode for p in processes] == [0] * 4
    assert number.read_text() == "200" and not place.exists()


def test_a_lock_among_threads_alone(tmp_path, monkeypatch):
    """Where neither the system nor its files know locks, threads still wait for each other."""
    monkeypatch.setattr(locks, "fcntl", None)
    number = [0]

    def add(_):
        for _ in range(200):
            with locks.exclusive(tmp_path / "lock") as alone:
                assert not alone
                before = number[0]
                threading.Event().wait(0)  # lets another thread go first
                number[0] = before + 1

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(8)))
    assert number == [1600]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")
def test_a_forked_child_does_not_keep_a_lock(tmp_path):
    """Forked while a lock is held: the child outlives its parent's lock, and can take locks of its own."""
    place = tmp_path / "folder"  # the lock of a folder: that of a file goes with the file
    place.mkdir()
    reader, writer = os.pipe()
    with locks.exclusive(place):
        child = os.fork()
        if not child:
            os.close(writer)
            with locks.exclusive(tmp_path / "other", wait=False) as free:
                os.read(reader, 1)  # until the parent has seen the lock free
                os._exit(0 if free else 1)
    os.close(reader)
    try:
        code = f"""
            from pathlib import Path
            from derive.toolchain.cache import locks
            with locks.exclusive(Path({str(place)!r}), wait=False) as free:
                print(free)
        """
        assert python(code).stdout == "True\n"
    finally:
        os.close(writer)
        assert os.waitpid(child, 0)[1] == 0


def test_locks_without_a_deadlock_that_is_none(tmp_path):
    """Two processes with two threads each, which hold one lock and wait for another: locks of fcntl call that a deadlock."""
    code = """
        import sys, threading
        from pathlib import Path
        from derive.toolchain.cache import locks
        def work(name):
            for _ in range(200):
                with locks.exclusive(Path(sys.argv[1]) / name) as alone:
                    assert alone
        threads = [threading.Thread(target=work, args=(name,)) for name in "aabb"]
        [t.start() for t in threads]; [t.join() for t in threads]
        print("done")
    """.replace("sys.argv[1]", repr(str(tmp_path)))
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda _: python(code), range(2)))
    assert [(d.stdout, d.stderr) for d in done] == [("done\n", "")] * 2


def test_a_file_system_without_locks(mine, compilations, monkeypatch):
    """The module is built all the same; nothing of others is swept up, for there is no telling whether they are at work."""

    def refuse(*_):
        raise OSError(37, "No locks available")

    cell, folder = mine
    shutil.rmtree(folder)
    (folder.parent / ".another_0123.abc123").mkdir()
    monkeypatch.setattr(locks.fcntl, "flock", refuse)
    works(derive.build(cell))
    assert ".another_0123.abc123" in left(folder.parent) and compilations


# -- what is damaged ---------------------------------------------------------------------------------------------------


def cut(path, size):
    with open(path, "r+b") as file:
        file.truncate(size)


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


DAMAGES = {
    "cut to 4096 bytes": lambda p: cut(p, 4096),
    "cut to half": lambda p: cut(p, p.stat().st_size // 2),
    "emptied": lambda p: cut(p, 0),
    "one bit": flip,
    "gone": Path.unlink,
    "garbage": lambda p: p.write_bytes(os.urandom(1000)),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize(
    "what", ["_kernels*", "manifest.json", "__init__.py", "*_kernels.h", "derive_gemm.h", "*_f32.c", "stamp.json"]
)
def test_damage_is_healed(mine, compilations, capfd, what, damage):
    """Whatever file of an entry, in whatever way: it is built again, nothing is said, and all its files are whole."""
    cell, folder = mine
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    (path,) = folder.glob(what)
    DAMAGES[damage](path)
    works(derive.build(cell))
    assert len(compilations) == 1 and capfd.readouterr() == ("", "")
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before and left(folder.parent) == []


def test_another_process_heals_it_too(mine):
    """With the real compiler, in a process that would end by SIGBUS if it loaded a module that was cut."""
    _, folder = mine
    (path,) = folder.glob("_kernels*")
    cut(path, 4096)
    done = python(CELL.format(function="tanh") + USE)
    assert done.stdout.endswith("True\n"), done.stderr


@pytest.mark.parametrize(
    "stamp",
    ["null", "[]", "{}", '"key"', '{"key": 1, "module": 2, "files": 3, "accepted": 4}', "\x00", "[" * 100_000],
)
def test_a_stamp_of_any_shape(mine, compilations, stamp):
    cell, folder = mine
    (folder / "stamp.json").write_text(stamp)
    works(derive.build(cell))
    assert len(compilations) == 1


def test_a_stamp_tells_people_what_was_made_and_when_it_was_used(mine, compilations):
    """And one of before, which says nothing of the kind, counts all the same."""
    cell, folder = mine
    about = entry.look(folder).about
    assert about["cell"] == "mine" and about["loss"] == "" and about["sizes"] == {}
    assert about["flags"] == list(compiler.FLAGS) and about["compiler"] in compiler.version()
    for text in ((folder / "stamp.json").read_text(), None):
        if text is None:
            stamp = json.loads((folder / "stamp.json").read_text())
            del stamp["about"]
            (folder / "stamp.json").write_text(json.dumps(stamp))
            loading._loaded.clear()
        os.utime(folder / "stamp.json", (0, 0))
        works(derive.build(cell))
        assert (folder / "stamp.json").stat().st_mtime > 0
    assert compilations == [] and entry.look(folder).about == {}


def test_sizes_that_are_fixed_are_in_the_stamp(mine, compilations):
    cell, folder = mine
    with pytest.raises(DeriveError, match="cannot be loaded"):  # the copy has the name of the first
        derive.build(cell, loss=registry.loss("squared_error"), sizes={"H": 4})
    (other,) = [path for path in folder.parent.glob("mine_*") if path != folder]
    about = entry.look(other).about
    assert about["sizes"] == {"H": 4} and about["loss"] == "squared_error" and "-DMINE_H=4" in about["flags"]


def test_a_stamp_that_leaves_out_files(mine, compilations):
    """A stamp that knows nothing of the Python or of the module is none."""
    cell, folder = mine
    for name in ("__init__.py", next(folder.glob("_kernels*")).name):
        stamp = json.loads((folder / "stamp.json").read_text())
        del stamp["files"][name]
        (folder / "stamp.json").write_text(json.dumps(stamp))
        works(derive.build(cell))
        loading._loaded.clear()
    assert len(compilations) == 2


def test_bytecode_is_neither_written_nor_read(mine, compilations):
    """No stamp would know it.  What else lies in an entry is no matter, as it is not loaded."""
    cell, folder = mine
    works(derive.build(cell))
    assert not (folder / "__pycache__").exists()
    loading._loaded.clear()
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / f"__init__.{sys.implementation.cache_tag}.pyc").write_bytes(b"nonsense")
    works(derive.build(cell))
    assert compilations == []


def test_what_is_loaded_stays_loaded(mine, compilations):
    """An entry that goes while its module is in use: the process goes on with what it has."""
    cell, folder = mine
    module = derive.build(cell)
    shutil.rmtree(folder)
    assert derive.build(cell) is module
    works(module)
    assert compilations == []


def test_a_module_in_place_is_checked(tmp_path, compilations):
    """`derive build` compiles again what is damaged in generated/, and what a killed builder left goes."""
    folder = tmp_path / "rnn"
    generation.write(folder, generation.files(registry.cell("rnn")))
    made = compiler.compile_folder(folder)
    whole = made.read_bytes()
    (folder / f".{made.name}.123").write_text("half")
    for number, (name, damage) in enumerate(DAMAGES.items()):
        damage(made)
        assert compiler.compile_folder(folder) == made and made.read_bytes() == whole, name
        assert compiler.is_current(folder, "_kernels", compiler.made_from(folder)) and len(compilations) == number + 2
    for stamp in ("", "null", "{}", '{"key": 1, "sum": 2, "accepted": 3}', "[" * 100_000):
        (folder / "_kernels.stamp").write_text(stamp)
        assert not compiler.is_current(folder, "_kernels", compiler.made_from(folder))
    assert not [p for p in folder.iterdir() if p.name.startswith(".")]


def test_a_module_in_place_is_compiled_once(tmp_path, compilations):
    """By the first of those who want it; the lock of a folder leaves nothing in it."""
    folder = tmp_path / "rnn"
    generation.write(folder, generation.files(registry.cell("rnn")))
    before = {p.name for p in folder.iterdir()}
    with ThreadPoolExecutor(6) as pool:
        made = set(pool.map(compiler.compile_folder, [folder] * 6))
    assert len(made) == 1 and compilations == ["_kernels"]
    assert {p.name for p in folder.iterdir()} - before == {made.pop().name, "_kernels.stamp"}


def test_it_is_on_the_disk_before_it_has_its_name(mine, compilations, monkeypatch):
    """Every file of an entry is synced before the rename that publishes it, and the name after it."""
    cell, folder = mine
    shutil.rmtree(folder)
    events, rename = [], Path.rename
    sync = files.sync
    monkeypatch.setattr(files, "sync", lambda path: (events.append(("sync", path.name)), sync(path))[1])
    monkeypatch.setattr(
        Path, "rename", lambda self, target: (events.append(("rename", target.name)), rename(self, target))[1]
    )
    derive.build(cell)
    at = events.index(("rename", folder.name))
    assert {p.name for p in folder.iterdir()} <= {name for what, name in events[:at] if what == "sync"}
    assert ("sync", folder.parent.name) in events[at:]


@pytest.mark.parametrize("when", ["a file", "the module", "the stamp", "the rename"])
def test_a_full_disk(mine, compilations, monkeypatch, when):
    """A DeriveError, and nothing of the attempt remains; with room again it is built."""

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    cell, folder = mine
    shutil.rmtree(folder)
    with monkeypatch.context() as patch:
        if when == "a file":
            patch.setattr(building.files, "write", full)
        elif when == "the module":
            patch.setattr(compiler, "compile_into", full)
        elif when == "the stamp":
            patch.setattr(building.entry, "write", full)
        else:
            patch.setattr(Path, "rename", full)
        with pytest.raises(DeriveError, match=r"cannot build in .*cache: No space left on device; .*DERIVE_CACHE"):
            derive.build(cell)
    assert list(folder.parent.iterdir()) == []
    works(derive.build(cell))


def test_a_full_disk_in_place(tmp_path, monkeypatch):
    """The partial module goes, and the one that was there stays."""
    folder = tmp_path / "rnn"
    generation.write(folder, generation.files(registry.cell("rnn")))
    before = sorted(folder.iterdir())

    def half(target, *_):
        target.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(compiler, "compile_into", half)
    with pytest.raises(DeriveError, match="No space left on device"):
        compiler.compile_folder(folder)
    assert sorted(folder.iterdir()) == before


# -- whose it is -------------------------------------------------------------------------------------------------------

posix = pytest.mark.skipif(not hasattr(os, "geteuid"), reason="needs users")


def test_the_cache_is_made_for_its_owner_alone(tmp_path, compilations, built, monkeypatch):
    monkeypatch.setenv("DERIVE_CACHE", str(tmp_path / "new" / "cache"))
    monkeypatch.setattr(loading, "_loaded", {})
    monkeypatch.setattr(building, "_examined", set())
    old = os.umask(0)
    try:
        folder = Path(derive.build(built[0]).__file__).parent
    finally:
        os.umask(old)
    for path in (folder, folder.parent):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert not any(stat.S_IMODE(p.stat().st_mode) & 0o077 for p in folder.iterdir())


@posix
@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o770, 0o720])
@pytest.mark.parametrize("what", ["cache", "entry", "module"])
def test_what_others_may_write_to_is_refused(mine, compilations, what, mode):
    cell, folder = mine
    path = {"cache": folder.parent, "entry": folder, "module": next(folder.glob("_kernels*"))}[what]
    path.chmod(mode)
    with pytest.raises(
        DeriveError, match=rf"{path}, .*can be written to by other users \(mode 0?{mode:o}\).*chmod go-w"
    ):
        derive.build(cell)
    path.chmod(0o700)
    works(derive.build(cell))
    assert compilations == []


@posix
@pytest.mark.parametrize("what", ["cache", "entry", "module"])
def test_what_belongs_to_another_is_refused(mine, monkeypatch, what):
    """With another answer to who we are where the test may not give files away."""
    cell, folder = mine
    path = {"cache": folder.parent, "entry": folder, "module": next(folder.glob("_kernels*"))}[what]
    if os.geteuid() == 0:
        os.chown(path, 12345, 12345)
        said = "belongs to user 12345 and not to you, user 0"
    else:
        if what != "cache":
            pytest.skip("only root may give files away")
        monkeypatch.setattr(os, "geteuid", lambda: 12345)
        said = "and not to you, user 12345"
    with pytest.raises(DeriveError, match=rf"{path}, .*{said}.*remove it"):
        derive.build(cell)


def test_links_are_refused(mine, tmp_path, compilations):
    """An entry that is a symbolic link, and a file of one: neither followed nor written through."""
    cell, folder = mine
    elsewhere = tmp_path / "elsewhere"
    folder.rename(elsewhere)
    folder.symlink_to(elsewhere)
    with pytest.raises(
        DeriveError, match=rf"{folder} is a symbolic link, expected a folder that derive made; remove it"
    ):
        derive.build(cell)
    folder.unlink()
    elsewhere.rename(folder)
    (module,) = folder.glob("_kernels*")
    module.rename(tmp_path / "module.so")
    module.symlink_to(tmp_path / "module.so")
    before = (tmp_path / "module.so").read_bytes()
    with pytest.raises(DeriveError, match=rf"{module} is a symbolic link"):
        derive.build(cell)
    assert (tmp_path / "module.so").read_bytes() == before and compilations == []


def test_a_lock_that_is_a_link_is_not_followed(mine, tmp_path, compilations):
    cell, folder = mine
    shutil.rmtree(folder)
    (folder.parent / f".{folder.name}.lock").symlink_to(tmp_path / "target")
    with pytest.raises(DeriveError, match="cannot build in"):
        derive.build(cell)
    assert not (tmp_path / "target").exists()


def test_a_cache_on_another_disk(mine, tmp_path):
    """The cache itself may be a link, if it is the user's own."""
    cell, folder = mine
    link = tmp_path / "link"
    link.symlink_to(folder.parent)
    os.environ["DERIVE_CACHE"] = str(link)  # the fixture puts it back
    works(derive.build(cell))
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        loading._loaded.clear()
        os.chown(link, 12345, 12345, follow_symlinks=False)
        with pytest.raises(DeriveError, match="belongs to user 12345"):
            derive.build(cell)


def may_run(done):
    """Skip where Python itself is in a folder that is closed to other users."""
    if "No module named 'typing'" in done.stderr:
        pytest.skip("this Python is closed to other users")


@posix
@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() != 0, reason="only root may become another user")
def test_a_warm_cache_that_cannot_be_written(mine):
    """Nothing needs to be written to load what is there."""
    _, folder = mine
    for path in (folder.parent, *folder.parent.rglob("*")):
        os.chown(path, 65534, 65534)
    folder.parent.chmod(0o500)
    for place in folder.parents:
        if place.stat().st_uid == 0 and not place.stat().st_mode & 0o001:
            place.chmod(place.stat().st_mode | 0o011)
    code = "import os; os.setgid(65534); os.setuid(65534)\n" + CELL.format(function="tanh") + USE
    (folder.parent.parent / "home").mkdir()
    done = python(code, HOME=str(folder.parent.parent / "home"))
    may_run(done)
    assert done.stdout.endswith("True\n"), done.stderr


# -- where it is -------------------------------------------------------------------------------------------------------


def test_the_cache_folder(monkeypatch, tmp_path):
    monkeypatch.delenv("DERIVE_CACHE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    home = tmp_path / ".cache" / "lstm-derive"
    for given in ("relative", "./here", "~/x", ""):  # "All paths ... must be absolute ... should ... ignore it"
        monkeypatch.setenv("XDG_CACHE_HOME", given)
        assert cache.cache_folder() == home
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache.cache_folder() == tmp_path / "xdg" / "lstm-derive" == compiler.cache_folder()
    monkeypatch.setenv("DERIVE_CACHE", "~/x")
    assert cache.cache_folder() == tmp_path / "x"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DERIVE_CACHE", "mine")
    assert cache.cache_folder() == tmp_path / "mine"
    monkeypatch.setenv("DERIVE_CACHE", "~no-such-user/x")
    with pytest.raises(DeriveError, match=r"DERIVE_CACHE=~no-such-user/x: there is no home folder for this ~"):
        cache.cache_folder()


@posix
@pytest.mark.parametrize("home", [None, "", "relative", "/nonexistent"])
def test_a_user_without_a_home(monkeypatch, tmp_path, home):
    """A folder among the temporary files, with the user's number, and with all the checks of ownership."""
    for name in ("DERIVE_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    if home is not None:
        monkeypatch.setenv("HOME", home)
    monkeypatch.setattr(os, "getuid", lambda: 54321)  # no such user
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    if home != "":  # then expanduser gives /, which is there
        assert cache.cache_folder() == tmp_path / "lstm-derive-54321"
    (tmp_path / "lstm-derive-54321").mkdir(0o777)
    (tmp_path / "lstm-derive-54321").chmod(0o777)
    with pytest.raises(DeriveError, match="can be written to by other users"):
        cache.trusted(tmp_path / "lstm-derive-54321")


@posix
@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() != 0, reason="only root may become another user")
def test_an_unknown_user(tmp_path):
    """Whom no list of users knows, without HOME: a cell is built."""
    place = tmp_path
    for parent in (place, *place.parents):
        if parent.stat().st_uid == 0 and not parent.stat().st_mode & 0o001:
            parent.chmod(parent.stat().st_mode | 0o011)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    temporary.chmod(0o1777)
    code = (
        "import os; [os.environ.pop(n, None) for n in ('HOME', 'DERIVE_CACHE', 'XDG_CACHE_HOME')]\n"
        "os.setgid(54321); os.setuid(54321)\n" + CELL.format(function="tanh") + USE
    )
    compiler_of_mine = quick_compiler(temporary)
    done = python(code, TMPDIR=str(temporary), CC=str(compiler_of_mine))
    may_run(done)
    assert done.stdout.startswith(f"{temporary}/lstm-derive-54321/mine_"), done.stdout + done.stderr
    assert done.stdout.endswith("True\n")


# -- compilers that fail oddly -----------------------------------------------------------------------------------------


def test_words_that_are_not_utf_8(mine, tmp_path, monkeypatch):
    """Of a compiler that fails, and of its version."""
    cell, folder = mine
    shutil.rmtree(folder)
    text = "printf 'd\\351j\\340 vu \\377\\n' >&2; printf '\\377\\376'; exit 1"
    monkeypatch.setenv("CC", str(script(tmp_path / "cc", text)))
    with pytest.raises(DeriveError, match=r"(?s)compiling mine failed .*d.j. vu"):
        derive.build(cell)


@pytest.mark.parametrize("words", ["'gcc", 'gcc "', "gcc \\"])
def test_a_compiler_with_an_open_quotation_mark(mine, monkeypatch, words):
    monkeypatch.setenv("CC", words)
    with pytest.raises(DeriveError, match=r"CC=.* is no command \(No .*\); write the compiler .* as in a shell"):
        derive.build(mine[0])


def test_a_compiler_that_is_no_binary(mine, tmp_path, monkeypatch):
    (tmp_path / "cc").write_bytes(b"\x7fELF nonsense")
    (tmp_path / "cc").chmod(0o755)
    monkeypatch.setenv("CC", str(tmp_path / "cc"))
    with pytest.raises(DeriveError, match=r"the C compiler '.*cc' cannot be run: Exec format error; see CC"):
        derive.build(mine[0])


def test_a_compiler_that_makes_nothing_of_use(mine, tmp_path, monkeypatch):
    """Status 0, and an object that is none."""
    text = 'while [ "$1" != -o ] && [ $# -gt 0 ]; do shift; done; [ $# -gt 1 ] && echo nonsense > "$2"; exit 0'
    monkeypatch.setenv("CC", str(script(tmp_path / "cc", text)))
    before = sorted(mine[1].parent.iterdir())
    with pytest.raises(DeriveError, match=r"mine: the compiled module .*is not handed out"):
        derive.build(mine[0])
    assert [p for p in sorted(mine[1].parent.iterdir()) if p.name != "reports"] == before


def test_a_compiler_that_makes_nothing(mine, monkeypatch):
    shutil.rmtree(mine[1])
    monkeypatch.setenv("CC", "true")
    with pytest.raises(
        DeriveError, match=r"compiling mine failed: true ended without an error, and did not make .*\.o"
    ):
        derive.build(mine[0])


# -- what is no part of the key ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("option", ["-O", "-OO"])
def test_documentation_is_no_part_of_the_key(mine, option):
    """`python -OO` has no documentation, and finds what Python with documentation built."""
    _, folder = mine
    (folder.parent.parent / "cells.py").write_text(CELL.format(function="tanh"))
    code = f"""
        import sys; sys.path.insert(0, {str(folder.parent.parent)!r})
        from cells import mine
        import derive
        print(bool(mine.doc), derive.build(mine).__file__)
    """
    done = python(code, option, CC=os.environ["CC"])
    assert done.stdout == f"{option != '-OO'} {folder / '__init__.py'}\n", done.stderr
    assert [p for p in folder.parent.iterdir() if p != folder] == []


@pytest.mark.parametrize("size", [np.int64(4), np.uint8(4), np.int32(4), 4, np.array(4)])
def test_sizes_that_are_integers(mine, monkeypatch, size):
    """Whatever is an integer to Python is one here; it is the same module."""
    asked = []
    monkeypatch.setattr(building._Job, "find", lambda job, *_: asked.append((job.sizes, job.name)) or 1 / 0)
    for value in (size, 4):
        with pytest.raises(ZeroDivisionError):
            derive.build(mine[0], sizes={"H": value})
    assert asked[0] == asked[1] and asked[0][0] == {"H": 4}


@pytest.mark.parametrize("size", [0, -1, 4.0, np.float64(4), "4", True, np.True_, None, [4], 2**31, 10**30])
def test_sizes_that_are_none(mine, size):
    with pytest.raises(
        DeriveError, match=r"mine: the size H must be an integer of at least 1 and at most 2147483647, found"
    ):
        derive.build(mine[0], sizes={"H": size})


# -- symbols -----------------------------------------------------------------------------------------------------------


def test_symbols_are_hidden(mine):
    """A module exports the function that Python looks for, and nothing else."""
    if not shutil.which("nm"):
        pytest.skip("nm is not installed")
    (module,) = mine[1].glob("_kernels*")
    done = subprocess.run(["nm", "-D", "--defined-only", module], capture_output=True, text=True, check=True)
    names = {line.split()[-1] for line in done.stdout.splitlines()} - {
        "_init",
        "_fini",
        "__bss_start",
        "_edata",
        "_end",
    }
    assert names == {f"PyInit_{module.name.split('.')[0]}"}


@pytest.mark.skipif(not hasattr(os, "RTLD_GLOBAL"), reason="needs dlopen")
def test_a_cell_with_the_name_of_a_shipped_one(mine):
    """With libraries that share their symbols, as MPI programs load them: each cell computes its own."""
    pytest.importorskip("derive.generated.rnn")
    text = CELL.format(function="sigmoid").replace("def mine", "def rnn")
    code = f"""
import os, sys
sys.setdlopenflags(os.RTLD_NOW | os.RTLD_GLOBAL)
{text}
import numpy as np, derive
from derive.generated import rnn as shipped
own = derive.build(rnn)
params = own.init_params(3, 4, dtype=np.float64, seed=0)
x = np.ones((1, 3))
z = params["weight_ih"] @ x[0] + params["bias"]
np.testing.assert_allclose(own.infer(x, params)[0][0], 1 / (1 + np.exp(-z)), rtol=1e-14)
np.testing.assert_allclose(shipped.infer(x, params)[0][0], np.tanh(z), rtol=1e-14)
print("both")
"""
    done = python(code)
    assert done.stdout == "both\n", done.stderr


def test_a_module_is_seen_with_its_compiled_half(mine):
    module = derive.build(mine[0])
    assert sys.modules[module.__name__] is module and sys.modules[f"{module.__name__}._kernels"] is module._kernels


def test_another_process_finds_a_module_by_its_reference(mine):
    """What was built is loaded there without SymPy or a compiler; an entry that is gone is an ImportError that says so."""
    cell, folder = mine
    find, (place, key) = derive.build(cell).__reference__
    assert find is loading.cached and Path(place) == folder
    code = f"""
        import pickle, sys
        find, arguments = pickle.loads({pickle.dumps((find, (place, key)))!r})
        module = find(*arguments)
        print(module.STATES, sorted({{"sympy", "jinja2"}} & set(sys.modules)))
    """
    done = python(code, CC="/nowhere/cc", PATH="/nowhere")
    assert done.stdout == "('h',) []\n", done.stderr
    shutil.rmtree(folder)
    done = python(code)
    assert "ImportError: " in done.stderr and "is not in the cache any more" in done.stderr
