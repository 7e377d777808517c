"""The machine: what it is (without names of hosts, paths or dates), and how many of its processors a process may use."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("numpy", "torch", "jax", "jaxlib", "onnxruntime", "threadpoolctl")
CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
USUAL = {"L1": 32 << 10, "L2": 1 << 20, "L3": 32 << 20}  # where the system does not tell
WINDOW = 6e-3  # seconds; Linux counts the time of a running thread every 4 ms or so
BUSY = 0.2  # share of a processor above which other threads of this process count as running


def describe() -> dict[str, Any]:
    """Processor, caches, cores, compiler and versions: what a reader needs to compare figures."""
    return {
        "processor": processor(),
        "architecture": platform.machine(),
        "system": platform.system(),
        "cpus": len(processors()),
        "caches": caches(),
        "python": platform.python_version(),
        "compiler": compiler(),
        "versions": {name: found for name in PACKAGES if (found := installed(name))},
    }


def processors() -> list[int]:
    """The processors that this process may use, by number."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))


def processor() -> str:
    """The processor's name, where the operating system tells it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    fields = [line.split(":", 1) for line in lines if ":" in line]
    first: dict[str, str] = {}
    for name, value in fields:
        first.setdefault(name.strip(), value.strip())
    if "model name" not in first:
        return platform.processor() or "unknown"
    numbers = [f"{word} {first[key]}" for word, key in (("family", "cpu family"), ("model", "model")) if key in first]
    return f"{first['model name']} ({', '.join(numbers)})" if numbers else first["model name"]


def caches() -> dict[str, int]:
    """Bytes of L1 (data), L2 and L3 as one core sees them."""
    sizes = dict(USUAL)
    for index in sorted(CACHES.glob("index*")):
        kind, level, size = ((index / name).read_text().strip() for name in ("type", "level", "size"))
        if kind != "Instruction" and f"L{level}" in sizes and size.endswith("K"):
            sizes[f"L{level}"] = int(size[:-1]) << 10
    return sizes


def compiler() -> str:
    """The first line of the C compiler's version, or an empty string."""
    try:
        done = subprocess.run([os.environ.get("CC", "cc"), "--version"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.partition("\n")[0].strip()


def installed(package: str) -> str | None:
    """The version of a package, None if it is not there."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def environment(threads: int) -> dict[str, str]:
    """Environment variables for a process on `threads` threads: libraries read them when they are loaded."""
    count = str(threads)
    names = (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "NUMEXPR_NUM_THREADS",
        "VECLIB_MAXIMUM_THREADS",
    )
    flags = f"--xla_cpu_multi_thread_eigen={'false' if threads == 1 else 'true'} intra_op_parallelism_threads={count}"
    # oneDNN, Eigen and XLA take the number of processors from the affinity of the process, which `confine` sets.
    return {**os.environ, **dict.fromkeys(names, count), "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}


def confine(threads: int) -> int:
    """Lets this process, and all threads that it will start, use only `threads` processors; returns how many there are."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, processors()[-threads:])  # interrupts like the first one
    elif threads < len(processors()):
        print("the number of processors cannot be set here: only the libraries' own settings hold", file=sys.stderr)
    return min(threads, len(processors()))


def settle(limit: float = 0.5) -> None:
    """Waits until no other thread of this process runs: pools of the contender before spin, OpenBLAS's for 0.1 s."""
    end = time.perf_counter() + limit
    while time.perf_counter() < end:
        wall, used = time.perf_counter(), time.process_time()
        time.sleep(WINDOW)
        if time.process_time() - used < BUSY * (time.perf_counter() - wall):
            return
