"""`derive cache`: it lists what derive made, and removes nothing else, nothing that is being built, nothing untrusted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from derive.cli import main
from derive.toolchain.cache import contents, entry, locks

DAY = 86400


def cache(*words: str, given: str = "") -> Result:
    return CliRunner(env={"COLUMNS": "300"}).invoke(main, ["cache", *words], input=given, catch_exceptions=False)


def listed(*words: str) -> dict[str, Any]:
    done = cache(*words, "--json")
    assert done.exit_code == 0, done.output
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache with three entries, used 1, 10 and 100 days ago, and what else may lie there."""
    root = tmp_path / "cache"
    root.mkdir(0o700)
    monkeypatch.setenv("DERIVE_CACHE", str(root))
    for days in (1, 10, 100):
        made(root, f"cell{days}", days)
    left = root / ".cell1_0123456789abcdef.abcd"
    left.mkdir()
    (left / "half.c").write_text("12345")
    report = root / "reports" / "cell1_0123456789abcdef"
    report.mkdir(parents=True)
    (report / "report.json").write_text("{}")
    for foreign in ("precious", "data_0123456789abcdef"):  # the second has the name of an entry, and no stamp
        (root / foreign).mkdir()
        (root / foreign / "thesis.tex").write_text("words")
    (root / "notes_0123456789abcdef").write_text("a file")
    return root


def made(root: Path, cell: str, days: float) -> Path:
    folder = root / f"{cell}_0123456789abcdef"
    folder.mkdir()
    (folder / f"{cell}_f32.c").write_text("int x;" * 10)
    about = {"cell": cell, "loss": "squared_error", "sizes": {"H": 16}, "flags": ["-O3"], "compiler": "cc 1"}
    entry.write(folder, entry.stamp_of(folder, "key", "m.so", about))
    used = os.stat(root).st_mtime - days * DAY
    os.utime(folder / "stamp.json", (used, used))
    return folder


def names(root: Path) -> set[str]:
    return {path.name for path in root.iterdir()}


FOREIGN = {"precious", "data_0123456789abcdef", "notes_0123456789abcdef", "reports"}


def test_ls_has_what_was_used_last_at_first_and_nothing_foreign(root: Path) -> None:
    found = listed("ls")
    entries = {one["name"]: one for one in found["entries"]}
    modules = [one["cell"] for one in found["entries"] if one["kind"] == "module"]
    assert modules == ["cell1", "cell10", "cell100"]
    assert {one["kind"] for one in entries.values()} == {"module", "leftover", "report"} and len(found["entries"]) == 5
    one = entries["cell10_0123456789abcdef"]
    assert one["sizes"] == {"H": 16} and one["loss"] == "squared_error" and one["flags"] == ["-O3"]
    assert one["types"] == ["float32"] and one["state"] == ""
    assert one["bytes"] == sum(p.stat().st_size for p in (root / one["name"]).iterdir())
    assert found["bytes"] == sum(one["bytes"] for one in entries.values()) and found["folder"] == str(root)
    said = cache("ls").output
    assert "cell100_0123456789abcdef" in said and "squared_error, H=16" in said and "precious" not in said


def test_clear_removes_all_that_derive_made_and_says_how_many_bytes(root: Path) -> None:
    before = {one["name"]: one["bytes"] for one in listed("ls")["entries"] if one["kind"] != "report"}
    done = cache("clear", "--yes")
    assert done.exit_code == 0 and f"4 entries removed, {sum(before.values())} bytes" in done.output
    assert names(root) == FOREIGN
    assert (root / "precious" / "thesis.tex").read_text() == "words" and (root / "reports").is_dir()


def test_clear_keeps_what_was_used_lately(root: Path) -> None:
    found = listed("clear", "--older-than", "5", "--yes")
    assert {one["cell"] for one in found["removed"]} == {"cell10", "cell100"}
    assert "cell1_0123456789abcdef" in names(root) and found["bytes"] == sum(one["bytes"] for one in found["removed"])
    assert listed("clear", "--older-than", "5", "--yes")["removed"] == []


def test_what_is_being_built_stays(root: Path) -> None:
    """Its builder has the lock: in another process, or in another thread of this one."""
    program = (
        "import sys\nfrom pathlib import Path\nfrom derive.toolchain.cache import locks\n"
        "with locks.exclusive(Path(sys.argv[1])) as alone:\n    print(alone, flush=True)\n    sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", program, str(root / ".cell10_0123456789abcdef.lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as builder:
        assert builder.stdout and builder.stdout.readline() == "True\n"
        with locks.exclusive(root / ".cell1_0123456789abcdef.lock") as alone:
            assert alone
            found = listed("clear", "--yes")
        builder.communicate()
    assert [one["cell"] for one in found["removed"]] == ["cell100"]
    kept = {one["name"]: one["why"] for one in found["kept"]}
    assert set(kept) == {"cell1_0123456789abcdef", ".cell1_0123456789abcdef.abcd", "cell10_0123456789abcdef"}
    assert all("being built" in why for why in kept.values())
    assert "cell10_0123456789abcdef" in names(root)
    cache("clear", "--yes")
    assert names(root) == FOREIGN


@pytest.mark.skipif(os.name != "posix", reason="needs owners and modes")
def test_a_folder_that_others_may_write_to_is_not_touched(root: Path) -> None:
    before = names(root)
    root.chmod(0o777)
    for words in (["ls"], ["clear", "--yes"]):
        done = cache(*words)
        assert done.exit_code == 2 and "can be written to by other users" in " ".join(done.stderr.split())
    assert names(root) == before


@pytest.mark.skipif(os.name != "posix", reason="needs owners and modes")
def test_an_entry_that_others_may_write_to_stays_and_is_named(root: Path) -> None:
    (root / "cell10_0123456789abcdef").chmod(0o777)
    states = {one["cell"]: one["state"] for one in listed("ls")["entries"] if one["kind"] == "module"}
    assert "can be written to by other users" in states["cell10"] and states["cell1"] == ""
    found = listed("clear", "--yes")
    assert [one["name"] for one in found["kept"]] == ["cell10_0123456789abcdef"]
    assert "cell10_0123456789abcdef" in names(root)
    (root / "link_0123456789abcdef").symlink_to(root / "precious")
    cache("clear", "--yes")
    assert (root / "precious" / "thesis.tex").exists() and "link_0123456789abcdef" in names(root)


def test_a_damaged_entry_is_listed_and_can_be_removed(root: Path) -> None:
    (root / "cell10_0123456789abcdef" / "stamp.json").write_text("{")
    states = {one["cell"]: one["state"] for one in listed("ls")["entries"] if one["kind"] == "module"}
    assert states["cell10"].startswith("damaged")
    assert "cell10" in {one["cell"] for one in listed("clear", "--yes")["removed"]}


def test_clear_asks_first(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = names(root)
    done = cache("clear")  # there is no terminal to ask at
    assert done.exit_code == 2 and "this removes 4 entries" in done.stderr and "add --yes" in done.stderr
    monkeypatch.setattr("derive.cli.cache.can_ask", lambda: True)
    done = cache("clear", given="n\n")
    assert done.exit_code == 0 and "Remove 4 entries" in done.stderr and "0 entries removed" in done.stdout
    assert names(root) == before
    assert json.loads(cache("clear", "--json", given="y\n").stdout)["bytes"] > 0
    assert names(root) == FOREIGN


def test_a_cache_that_is_not_there_is_not_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DERIVE_CACHE", str(tmp_path / "none"))
    assert listed("ls") == {"folder": str(tmp_path / "none"), "bytes": 0, "entries": []}
    assert "nothing was built yet" in cache("ls").output
    assert cache("clear").exit_code == 0
    assert not (tmp_path / "none").exists()


def test_an_entry_that_goes_away_or_is_used_meanwhile_is_no_error(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = contents.contents(root)
    monkeypatch.setattr(contents, "contents", lambda folder: found)
    contents.clear(root)
    assert contents.clear(root).removed == () and contents.clear(root).kept == ()
    again = made(root, "cell10", 0)
    done = contents.clear(root, os.stat(root).st_mtime - 5 * DAY)
    assert done.removed == done.kept == () and again.is_dir()
