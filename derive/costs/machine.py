"""What a cost report must know of a processor: flop and bytes per cycle, sizes of caches, registers of its vectors.

The defaults are the most that cores of an instruction set reach, so that a bound stays a bound on all of them; a
report for one machine is nearer with that machine's own figures.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass

from derive.backends.c.target import TARGET
from derive.errors import DeriveError
from derive.toolchain.compiler import cpu_features

# Bytes per cycle and core that can be read, and bytes that fit.
BANDWIDTH = {"L1": 128.0, "L2": 64.0, "L3": 32.0, "DRAM": 16.0}
CACHES = {"L1": 32 << 10, "L2": 1 << 20, "L3": 32 << 20}
LATENCY = 3.0  # cycles from an operation to one that needs its result, at least


@dataclass(frozen=True)
class Machine:
    """One core, and how its caches feed it.

    peak: flop per cycle and core in the dtype of the report.  bandwidth: bytes per cycle and core from L1, L2, L3 and
    DRAM.  caches: bytes in L1, L2 and L3.  clock: GHz, or None where no seconds are asked for.
    """

    isa: str
    peak: float
    bandwidth: Mapping[str, float]
    caches: Mapping[str, int]
    clock: float | None = None
    latency: float = LATENCY

    @classmethod
    def of(
        cls,
        isa: str | None = None,
        dtype: str = "float32",
        peak: float | None = None,
        bandwidth: tuple[float, ...] = (),
        caches: tuple[int, ...] = (),
        clock: float | None = None,
    ) -> Machine:
        """The machine with some figures given and the others from the table; isa: None means that of this processor.

        Raises DeriveError for an unknown isa, a wrong count of figures, or one that is not above 0.
        """
        isa = isa or best_isa()
        if isa not in TARGET.isa:
            raise DeriveError(f"the instruction set is one of {', '.join(TARGET.isa)}; found {isa!r}")
        figures = {
            "bandwidth": _named("bandwidth", BANDWIDTH, bandwidth),
            "caches": _named("caches", CACHES, caches),
            "peak": {"peak": TARGET.isa[isa].peak * 4 / _itemsize(dtype) if peak is None else peak},
            "clock": {"clock": 1.0 if clock is None else clock},
        }
        for what, values in figures.items():
            if not all(v > 0 for v in values.values()):
                raise DeriveError(f"{what} must be above 0; found {', '.join(map(str, values.values()))}")
        return cls(isa, figures["peak"]["peak"], figures["bandwidth"], _whole(figures["caches"]), clock)

    def lanes(self, dtype: str) -> int:
        """Numbers in a vector."""
        return TARGET.isa[self.isa].vector_bytes // _itemsize(dtype)

    @property
    def rows(self) -> int:
        """Rows of a full tile."""
        return TARGET.isa[self.isa].rows

    def level(self, size: int) -> str:
        """The smallest cache that holds `size` bytes; DRAM if none does."""
        return next((name for name, room in self.caches.items() if size <= room), "DRAM")

    def reading_again(self, size: int, threads: int = 1) -> tuple[float, str]:
        """Cycles to read `size` bytes that were read just before, and the cache that takes them.

        A serpentine traversal finds what a smaller cache holds in that cache, and has the others from the next one. The
        threads have equal parts; L3 is one for all of them.
        """
        part = size / threads
        found = 0.0, "L1"
        nearer = 0.0
        for name, width in self.bandwidth.items():
            found = max(found, ((part - nearer) / width, name))
            nearer = self.caches.get(name, size)
            if (size if name == "L3" else part) <= nearer:
                break
            nearer /= threads if name == "L3" else 1
        return found


def best_isa() -> str:
    """The best instruction set that there is a build for and that this processor names; base if it names none."""
    if platform.machine().lower() in ("aarch64", "arm64"):
        return "neon"
    has = set(cpu_features().split())
    return next((isa.tag for isa in reversed(TARGET.built) if has.issuperset(isa.features)), "base")


def _itemsize(dtype: str) -> int:
    return {"float32": 4, "float64": 8}[dtype]


def _named(what: str, default: Mapping[str, float], given: tuple[float, ...]) -> dict[str, float]:
    if given and len(given) != len(default):
        raise DeriveError(f"{what} takes {len(default)} figures, of {', '.join(default)}; found {len(given)}")
    return dict(zip(default, given or default.values(), strict=True))


def _whole(values: Mapping[str, float]) -> dict[str, int]:
    return {n: int(v) for n, v in values.items()}
