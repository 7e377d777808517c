"""The verdict on a mutant: the checks of the project one after the other, the cheapest first, until one fails.

A mutant is made in a copy of the tree.  Each check is a process of its own, so that a mutant that crashes, loops or
takes all memory is caught and nothing else happens.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from drawn import ROOT, Mutant
from examined import FIRST, MORE

TIME_LIMIT = 600  # seconds: only what waits for ever takes so long
COMPUTING = 200  # seconds of a processor: only what loops for ever takes so long
MEMORY = 8 << 30  # bytes of address space, where no sanitizer wants more
COPIED = ("derive", "templates", "tests", "examples", "benchmarks", "docs", ".ci", "pyproject.toml", "setup.py")
COPIED += ("Makefile", "MANIFEST.in", "README.md", "CONTRIBUTING.md", "CHANGELOG.md", "LICENSE")

# What calls a module that is compiled as it ships; of templates it sees what `_module` has made.
CALLED = "rnn"
MODULE = ["tests/emit/test_memory.py", "tests/emit/test_isa.py", "tests/module", "-k"]
MODULE += [f"{CALLED} and not guard and not sanitizers and not fixed_at_compile_time"]
GUARDS = ["tests/emit/test_memory.py", "-k", "guard_pages and (lstm- or lstm] or layernorm)"]
RACES = ["tests/emit/test_races.py", "-k", "lstm"]
RULES = [
    "tests/emit/test_c_rules.py",
    "-k",
    "text or ids or header or constants or (warnings and rnn and not shipped) or real4-rnn",
]
SANITIZERS = ["tests/emit/test_memory.py", "-k", "sanitizers"]
# By a part of the path, those that come first; then what all of an area share.  Nothing here compares with committed
# C: a change of a template on purpose commits other C as well.
TESTS: dict[str, list[list[str]]] = {
    "math.h": [["tests/emit/test_math.py"], ["tests/emit/test_cross.py"], ["tests/emit/test_targets.py"]],
    "type.h": [["tests/emit/test_math.py"], ["tests/emit/test_cross.py"], ["tests/emit/test_targets.py"]],
    "vectors.h": [["tests/emit/test_math.py"], ["tests/emit/test_cross.py"], ["tests/emit/test_targets.py"]],
    "gemm.h": [["tests/emit/test_cross.py"], ["tests/emit/test_targets.py"]],
    "sums.j2": [GUARDS],
    "dispatch": [["tests/emit/test_c_rules.py", "-k", "dispatch"], ["tests/build/test_custom_cells.py"]],
    "isa.c": [["tests/build/test_custom_cells.py"]],
    "header.h": [["tests/build/test_custom_cells.py"]],
    "adjoint": [["tests/engine/test_adjoint.py"], ["tests/engine/test_capture.py"]],
    "batch": [["tests/engine/test_batch.py"]],
    "normal": [["tests/engine/test_lower.py"], ["tests/engine/test_capture.py"], ["tests/cases"]],
    "verifier": [["tests/engine/test_verifiers.py"]],
    "simplify": [["tests/engine/test_simplify.py"], ["tests/engine/test_capture.py"]],
    "emit.py": [["tests/emit/test_names.py"], ["tests/build/test_custom_cells.py"]],
    "generation.py": [["tests/emit/test_names.py"], ["tests/build/test_custom_cells.py"]],
    "printer": [["tests/emit/test_c_rules.py"], ["tests/emit/test_targets.py"]],
    "layout": [GUARDS, ["tests/engine/test_verifiers.py"]],
    "kept": [["tests/module/test_kept.py"], ["tests/module/test_copies.py"]],
    "runner": [["tests/module/test_threads.py"], ["tests/module/test_calls_together.py"]],
    "workers": [["tests/module/test_threads.py"]],
    "inputs": [["tests/module/test_inputs.py"], ["tests/module/test_arrays.py"]],
    "isa.py": [["tests/emit/test_isa.py"]],
    "extension": [["tests/module/test_compiled.py"], ["tests/build/test_compiler.py"]],
    "reference": [["tests/module/test_copies.py"]],
    "memory": [["tests/module/test_small_print.py"]],
    **{n: [[f"tests/module/test_{n}.py"]] for n in ("split", "tape", "plan", "arrays")},
}
SHARED: dict[str, list[list[str]]] = {
    "templates": [MODULE, GUARDS, RACES, RULES, SANITIZERS, ["tests/emit/test_names.py"]],
    "passes": [
        ["tests/engine/test_lower.py", "tests/engine/test_verifiers.py", "tests/engine/test_simplify.py"],
        ["tests/engine", "-k", "not every_mutant and not test_lower and not test_verifiers and not test_simplify"],
        ["tests/cases"],
        ["tests/emit/test_names.py"],
        RULES,
        GUARDS,
    ],
    "runtime": [["tests/module"], ["tests/build/test_acceptance.py"]],
}

Cells = Sequence[Sequence[str]]  # names of cells in groups; a group is looked at if those before show nothing


@dataclass(frozen=True)
class Verdict:
    """`caught` by which check; else `same`: no check saw a difference in C, or the cells whose C differs.

    `how` is "a verifier", "an exception", "no C", "wrong numbers", "a signal", "no end", "a test" or nothing.
    """

    caught: str
    how: str
    why: str
    changed: list[str] = field(default_factory=list)


class Tree:
    """A copy of the tree in which one mutant after the other is made."""

    known: dict[str, bool] = {}  # tests that fail in the tree as it is
    lock = threading.Lock()

    def __init__(self, folder: Path, base: Path, clean: Tree | None = None, cells: Cells = (FIRST, MORE)) -> None:
        self.folder, self.base, self.clean, self.cells = folder, base, clean, cells
        folder.mkdir(parents=True)
        for name in COPIED:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(
                    source, folder / name, ignore=shutil.ignore_patterns("__pycache__", "generated", "*.so")
                )
            elif source.exists():
                shutil.copy2(source, folder / name)
        (folder / "generated").mkdir()
        for path in (ROOT / "generated").iterdir():
            (folder / "generated" / path.name).symlink_to(path)
        (folder / "derive" / "generated").symlink_to(folder / "generated")

    def emit(self) -> None:
        """Keep what the engine makes as it is, to compare with."""
        how, why, _ = self.examine("emit", str(self.base), *(name for names in self.cells for name in names))
        if how:
            raise RuntimeError(f"the tree as it is fails: {why}")

    # -- processes -----------------------------------------------------------------------------------------------------

    def run(self, command: list[str], limited: bool = True) -> tuple[int | None, str]:
        """Exit status (None: it did not end) and what was written."""
        cache = self.folder / "cache"
        path = os.pathsep.join([str(self.folder), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
        own = {"PYTHONPATH": path, "DERIVE_CACHE": str(cache), "PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "0"}
        output = self.folder / "output.txt"
        with output.open("wb") as file:
            process = subprocess.Popen(
                command,
                cwd=self.folder,
                env={**os.environ, **own},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_limit if limited else None,
            )
            ended = threading.Event()
            clock = threading.Timer(TIME_LIMIT, lambda: (ended.set(), _end(process)))
            clock.start()
            try:
                code = process.wait()
            finally:
                clock.cancel()
                _end(process)
        late_too = code in (-signal.SIGXCPU, -signal.SIGKILL) and limited
        return None if ended.is_set() or late_too else code, output.read_bytes().decode("utf-8", "replace")

    def examine(self, *words: str) -> tuple[str, str, dict[str, object]]:
        """(how it failed, why, the JSON of examined.py)."""
        code, said = self.run([sys.executable, "tests/mutants/examined.py", *words])
        lines = [line for line in said.splitlines() if line.strip()]
        if code is None:
            return "no end", "", {}
        if code:
            kinds = {"DoesNotCompile:": "no C", "EngineError:": "a verifier"}
            how = next((how for word, how in kinds.items() if word in said), "an exception")
            return ("a signal" if code < 0 else how), (lines or [f"signal {-code}"])[-1][:300], {}
        found = json.loads(lines[-1])
        return ("wrong numbers" if found["verdict"] == "wrong" else ""), found["why"][:300], found

    def test(self, arguments: list[str], area: str) -> tuple[str, str]:
        """(the test that fails, why), of tests that pass in the tree as it is."""
        while True:
            skip = [w for name in sorted(self.known) if self.known[name] for w in ("--deselect", name)]
            command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--no-header", *arguments]
            code, said = self.run([*command, *skip], limited=area == "runtime")
            if code is None:
                return " ".join(arguments), "no end"
            if code in (0, 5):
                return "", ""
            failed = re.findall(r"^(?:FAILED|ERROR) (.+?)(?: - (.*))?$", said, re.MULTILINE)
            if code < 0 or not failed:
                return " ".join(arguments), (said.strip().splitlines() or [f"signal {-code}"])[-1][:300]
            name, why = failed[0]
            if self.clean is None or not self._fails_anyway(name.partition("[")[0]):
                return name, why[:300]

    def _fails_anyway(self, name: str) -> bool:
        assert self.clean is not None
        with self.lock:
            if name not in self.known:
                command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", name]
                self.known[name] = self.clean.run(command, limited=False)[0] != 0
            return self.known[name]

    # -- verdicts ------------------------------------------------------------------------------------------------------

    def judge(self, mutant: Mutant, tests: bool = True) -> Verdict:
        """Make a mutant, check it, undo it."""
        path = self.folder / mutant.path
        text = path.read_text(encoding="utf-8")
        path.write_text(mutant.applied(text), encoding="utf-8")
        changed: list[str] = []
        try:
            for title, how, why in self._checks(mutant, tests, changed):
                if how:
                    return Verdict(title, how, why, changed)
        finally:
            path.write_text(text, encoding="utf-8")
            self._restore()
        return Verdict("", "", "", changed)

    def _checks(self, mutant: Mutant, tests: bool, changed: list[str]) -> Iterator[tuple[str, str, str]]:
        if mutant.area == "runtime":
            how, why, _ = self.examine("runtime")
            yield "validation", how, why
        else:
            known = ["--known"] if mutant.area == "templates" else []
            for names in self.cells:
                how, why, found = self.examine("compile", str(self.base), *names, *known)
                changed += found.get("changed", [])  # type: ignore[arg-type]
                title = "validation" if how in ("wrong numbers", "a signal") else "emission"
                yield title, how, why
                if changed:
                    break  # other cells would say no more
            if changed:
                how, why, _ = self.examine("pages", str(self.base), *changed[:3], *known)
                yield "guard pages", how, why
        # Of a template no test sees more than its C.
        if tests and (changed or mutant.area != "templates"):
            own = next((found for name, found in TESTS.items() if name in Path(mutant.path).name), None)
            own = own or next((found for name, found in TESTS.items() if name in mutant.path), [])
            shared = [a for a in SHARED[mutant.area] if a not in own]
            if mutant.area == "passes" and not changed:
                shared = [a for a in shared if a[0].startswith(("tests/engine", "tests/cases"))]
            if mutant.area == "templates":
                how, why = self._module()
                yield "compilation", how, why
            for arguments in [*own, *shared]:
                name, why = self.test(arguments, mutant.area)
                yield name, "a test" if name and why != "no end" else why, why

    def _module(self) -> tuple[str, str]:
        """Make the module of one cell as it ships, by templates that may be wrong, for the tests that call modules."""
        place = self.folder / "generated" / CALLED
        place.unlink()
        how, why, _ = self.examine("module", str(place), CALLED)
        return how, why

    def _restore(self) -> None:
        place = self.folder / "generated" / CALLED
        if not place.is_symlink():
            shutil.rmtree(place, ignore_errors=True)
            place.symlink_to(ROOT / "generated" / CALLED)


def _end(process: subprocess.Popen[bytes]) -> None:
    """The process, and what it has started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass


def _limit() -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (COMPUTING, COMPUTING))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
