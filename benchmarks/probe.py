"""The limits of the processor at this moment: multiply-adds a second, and bytes a second from each cache and from memory.

Machines are shared and clocks move: a figure means something only beside the peak of the same minute. A Probe is
therefore cheap enough (a few milliseconds) to stand between the contenders of every round.
"""

from __future__ import annotations

import importlib.util
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cffi
import numpy as np

HERE = Path(__file__).resolve().parent
DECLARATIONS = """
double peak_f32(long rounds);
double peak_f64(long rounds);
int vector_bits(void);
double read_stream(const void *buffer, size_t size, long passes);
int flush_denormals(void);
"""
FLAGS = ("-O3", "-march=native", "-ffp-contract=fast")
SLICE = 3e-3  # seconds that one measurement takes
REAL = {"float32": "f32", "float64": "f64"}


def compiled() -> Any:
    """The functions of probe.c, compiled for this processor; they release the GIL. Needs a C compiler."""
    ffi = cffi.FFI()
    ffi.cdef(DECLARATIONS)
    source = (HERE / "probe.c").read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        ffi.set_source("_probe", source, extra_compile_args=list(FLAGS))
        spec = importlib.util.spec_from_file_location("_probe", ffi.compile(tmpdir=folder))
        assert spec and spec.loader
        module: Any = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return module


class Probe:
    """Measures on `threads` threads at a time. `caches` maps L1, L2, L3 to bytes (L1 and L2 of one core)."""

    def __init__(self, threads: int, caches: dict[str, int]) -> None:
        module = compiled()
        self._lib, self._ffi = module.lib, module.ffi
        self.threads = threads
        self.vector_bits = int(self._lib.vector_bits())
        self.flushes = bool(self._lib.flush_denormals())
        self._pool = ThreadPoolExecutor(threads)
        self._start = threading.Barrier(threads)
        self._rounds = {dtype: self._calibrated(getattr(self._lib, f"peak_{real}")) for dtype, real in REAL.items()}
        sizes = working_sets(caches)
        self._buffers = {level: [_aligned(size) for _ in range(threads)] for level, size in sizes.items()}

    def peak(self, dtype: str) -> float:
        """Flop/s of multiply-adds from registers, all threads together."""
        function, rounds = getattr(self._lib, f"peak_{REAL[dtype]}"), self._rounds[dtype]
        return self._together(lambda _: function(rounds))

    def bandwidth(self, level: str) -> float:
        """Bytes/s of reading from that level (L1, L2, L3, DRAM), all threads together, each its own buffer."""
        buffers = self._buffers[level]
        # A working set is read once before it counts: what ran before has evicted it.
        passes = max(1, round(SLICE * 4e10 / buffers[0].nbytes))
        warm = 0 if level == "DRAM" else 1

        def read(thread: int) -> float:
            pointer, size = self._ffi.from_buffer(buffers[thread]), buffers[thread].nbytes
            if warm:
                self._lib.read_stream(pointer, size, warm)
            return float(self._lib.read_stream(pointer, size, passes))

        return self._together(read)

    @property
    def levels(self) -> tuple[str, ...]:
        return tuple(self._buffers)

    def _together(self, measure: Callable[[int], float]) -> float:
        """The sum over the threads, which start together."""
        if self.threads == 1:
            return float(measure(0))

        def run(thread: int) -> float:
            self._start.wait()
            return float(measure(thread))

        return sum(self._pool.map(run, range(self.threads)))

    @staticmethod
    def _calibrated(function: Callable[[int], float]) -> int:
        """Rounds that take about SLICE seconds; a round is a fixed number of operations."""
        trial = 100_000
        function(trial)
        began = time.perf_counter()
        function(trial)
        return max(1, int(trial * SLICE / (time.perf_counter() - began)))


def working_sets(caches: dict[str, int]) -> dict[str, int]:
    """Bytes to read so that each level answers: half of L1 and L2, between L2 and L3, and well beyond L3."""
    sets = {"L1": caches["L1"] // 2, "L2": caches["L2"] // 2, "L3": min(4 * caches["L2"], caches["L3"] // 4)}
    return {**sets, "DRAM": min(4 * caches["L3"], 1 << 28)}


def _aligned(size: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Zeros whose address and size are multiples of what one turn of read_stream takes, every page touched."""
    unit = 512
    raw = np.zeros(size + 2 * unit, np.uint8)
    first = -raw.ctypes.data % unit
    buffer = raw[first : first + size // unit * unit]
    buffer[:] = 1
    return buffer
