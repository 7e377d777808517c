"""The tests themselves: each runs by a command that the Makefile names, and none of them reads a clock."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
# Campaigns are no tests: one says how long a cell took, and judges by nothing of the kind; one ends mutants that loop.
CAMPAIGNS = {"campaign", "mutants"}
FILES = sorted(
    p for p in (ROOT / "tests").rglob("*.py") if p != Path(__file__) and not CAMPAIGNS & set(p.relative_to(ROOT).parts)
)
# Names by which a test would depend on how busy the machine is.
CLOCKS = {"perf_counter", "perf_counter_ns", "monotonic", "monotonic_ns", "process_time", "thread_time", "time_ns"}


def reads_of_clocks(text):
    """Lines of a Python text that read a clock or give something a limited time.  Code in strings counts too."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "time":
            if node.attr in CLOCKS | {"time"}:
                found.append(node.lineno)
        elif isinstance(node, ast.keyword) and node.arg in ("timeout", "deadline"):
            if not (isinstance(node.value, ast.Constant) and node.value.value is None):
                found.append(node.value.lineno)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            if re.search(rf"\btime\.({'|'.join(sorted(CLOCKS))}|time)\(", node.value):
                found.append(node.lineno)
    return found


def test_what_is_looked_for_is_found():
    assert sorted(reads_of_clocks("import time\nx = time.perf_counter()\nrun(a, timeout=3)\n'time.time()'\n")) == [
        2,
        3,
        4,
    ]
    assert not reads_of_clocks("settings(deadline=None)\ntime.sleep(0)\nclock.time()\n")


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_test_reads_a_clock(path):
    """A busy machine is no mistake of the code.  Count steps, or send the signal when the other side waits; seconds belong
    into benchmarks/."""
    lines = reads_of_clocks(path.read_text(encoding="utf-8"))
    assert not lines, f"{path.relative_to(ROOT)} reads a clock or sets a limit of time on lines {lines}"


@pytest.fixture
def markers():
    """The names of pyproject.toml; pytest and its plugins have others."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8").split("\nmarkers = [")[1]
    return re.findall(r'^ +"(\w+): ', text.split("\n]")[0], re.MULTILINE)


def test_every_marker_has_a_command(markers, request):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    left_out = re.findall(r"not (\w+)", " ".join(request.config.getini("addopts")))
    assert len(markers) >= 3 and sorted(left_out) == sorted(markers), "the usual run leaves out what has no marker"
    for name in markers:
        assert re.search(rf"^{name}:.*\n\t.*pytest -m {name}\b", makefile, re.MULTILINE), f"no `make {name}`"


def test_every_marker_is_used_and_ci_runs_what_it_has_time_for(markers):
    used = {m for p in FILES for m in re.findall(r"mark\.(\w+)", p.read_text(encoding="utf-8"))}
    assert set(markers) <= used
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert re.search(r"^make test\b", ci, re.MULTILINE) and re.search(r"^make slow\b", ci, re.MULTILINE)
