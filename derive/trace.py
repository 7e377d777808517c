"""What a run of the passes leaves behind: each pass with what it made, how long it took and what there is to count.

    trace = Trace()
    primal = trace.run("normalize", normalize, program)
    trace.after("normalize")          the entry: .artefact, .seconds, .counts

The document, `derive dump` and the tests read the trace instead of running passes again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, ParamSpec, TypeVar

from derive.errors import DeriveError

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True)
class Entry:
    """One pass of one run; `kernel` is empty where the pass takes the whole program."""

    name: str
    kernel: str
    artefact: Any
    seconds: float
    counts: dict[str, int]

    def dump(self) -> str:
        """The artefact as a person reads it."""
        if isinstance(self.artefact, (list, tuple)):
            return "\n\n".join(part.dump() for part in self.artefact)
        found: str = self.artefact.dump()
        return found


@dataclass
class Trace:
    """The entries of a run, in the order in which the passes ended."""

    entries: list[Entry] = field(default_factory=list)

    def run(self, name: str, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call a pass and write down what it returns."""
        return self.run_for("", name, function, *args, **kwargs)

    def run_for(self, kernel: str, name: str, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call a pass for one kernel and write down what it returns."""
        begin = time.perf_counter()
        made = function(*args, **kwargs)
        self.entries.append(Entry(name, kernel, made, time.perf_counter() - begin, counts(made)))
        return made

    @property
    def names(self) -> list[str]:
        """The passes that ran, each once."""
        return list(dict.fromkeys(e.name for e in self.entries))

    def kernels(self, name: str) -> list[str]:
        """The kernels for which a pass ran; empty for a pass over the whole program."""
        return [e.kernel for e in self.entries if e.name == name and e.kernel]

    def after(self, name: str, kernel: str = "") -> Entry:
        """What a pass made, for one kernel or for the whole program.

        Raises DeriveError for a pass or a kernel that the run does not have.
        """
        if name not in self.names:
            raise DeriveError(f"no pass is named {name!r}; the passes are {', '.join(self.names)}")
        found = [e for e in self.entries if e.name == name and e.kernel == kernel]
        if found:
            return found[-1]
        own = self.kernels(name)
        if not own:
            raise DeriveError(f"the pass {name} is for the whole program; leave the kernel {kernel!r} away")
        said = f"no kernel is named {kernel!r}" if kernel else f"the pass {name} runs for each kernel: name one"
        raise DeriveError(f"{said}; the kernels are {', '.join(own)}")


def counts(made: object) -> dict[str, int]:
    """What there is to count in an artefact: the lengths of its lists, by the names of its fields."""
    if isinstance(made, (list, tuple)):
        return {"parts": len(made)}
    names: Iterable[str] = ("equations", "tensors", "parts", "edge", "places", "regions", "stages", "gemms", "reduces")
    found = {n: getattr(made, n, None) for n in names}
    return {n: len(value) for n, value in found.items() if isinstance(value, (list, tuple, dict))}
