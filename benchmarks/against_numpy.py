"""The compiled LSTM against the NumPy reference of derive/references/, with the FMA peak of the same minute.

    python benchmarks/against_numpy.py      prints a table, writes benchmarks/results/against_numpy.json and .md

Each figure is the median of ROUNDS rounds, float32, called from Python; a round times every contender in turn, each for
as many calls as fill SLICE seconds.  NumPy's BLAS runs on one thread and on all (threadpoolctl).  Shares of the peak count
8 T B H (H + I) operations for inference and three times that for training: loss, all gradients and that of x.
"""

from __future__ import annotations

import importlib.util
import json
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import cffi
import numpy as np
from threadpoolctl import threadpool_limits

from derive.generated import lstm
from derive.references import lstm as written
from derive.runtime.split import cpus

HERE = Path(__file__).resolve().parent
SHAPES = [(50, 32, 128, 128), (50, 1, 8, 8), (64, 1, 8, 8), (63, 1, 24, 32), (100, 1, 64, 64), (3, 20, 36, 36),
          (150, 1, 256, 256), (1024, 16, 64, 64), (101, 64, 256, 256)]  # fmt: skip
ROUNDS = 15
SLICE = 2e-3
HEAD = """\
| T, B, I, H | inference | training | training, all threads | of FMA peak | NumPy training | NumPy, all threads \
| times faster: inference | training | training, all threads |
|---|---|---|---|---|---|---|---|---|---|
"""


def peak_meter() -> Callable[[], float]:
    """A function that measures the multiply-add rate of one core, in Gflop/s."""
    ffi = cffi.FFI()
    ffi.cdef("double peak(long);")
    flags = ["-O3", "-march=native", "-ffp-contract=fast"]
    with tempfile.TemporaryDirectory() as folder:
        ffi.set_source("_peak", (HERE / "peak.c").read_text(encoding="utf-8"), extra_compile_args=flags)
        spec = importlib.util.spec_from_file_location("_peak", ffi.compile(tmpdir=folder))
        assert spec and spec.loader
        module: Any = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return lambda: float(module.lib.peak(1_000_000)) / 1e9


def seconds(threads: int, call: Callable[[], Any]) -> float:
    """Seconds a call, with NumPy's BLAS on that many threads."""
    time.sleep(0.05)  # BLAS threads of the contender before spin for a while, on a processor that is wanted here
    with threadpool_limits(threads, "blas"):
        call()
        calls, began = 0, time.perf_counter()
        while (passed := time.perf_counter() - began) < SLICE or not calls:
            call()
            calls += 1
        return passed / calls


def measure(T: int, B: int, I: int, H: int, meter: Callable[[], float]) -> dict[str, Any]:
    """All contenders on one shape."""
    rng = np.random.default_rng(0)
    params = lstm.init_params(I, H)
    x, y = (rng.normal(size=s).astype(np.float32) for s in ((T, B, I), (T, B, H)))
    state = tuple(np.zeros((B, H), np.float32) for _ in lstm.STATES)
    contenders: dict[str, tuple[int, Callable[[], Any]]] = {
        "infer_1": (1, lambda: lstm.infer(x, params, state, threads=1)),
        "numpy_infer_1": (1, lambda: written.forward(x, params, state)),
        "train_1": (1, lambda: lstm.loss_and_grad(x, y, params, state, threads=1)),
        "numpy_train_1": (1, lambda: written.loss_and_grad(x, y, params, state)),
        "train": (1, lambda: lstm.loss_and_grad(x, y, params, state)),
        "numpy_train": (cpus(), lambda: written.loss_and_grad(x, y, params, state)),
    }
    times: dict[str, list[float]] = {name: [] for name in contenders}
    peaks = []
    for _ in range(ROUNDS):
        peaks.append(meter())
        for name, (threads, call) in contenders.items():
            times[name].append(seconds(threads, call))
    return {
        "shape": [T, B, I, H],
        "peak_gflops": median(peaks),
        "gflop": 8e-9 * T * B * H * (H + I),
        "seconds": {name: median(t) for name, t in times.items()},
        "spread": {name: (min(t), max(t)) for name, t in times.items()},
    }


def row(result: dict[str, Any]) -> str:
    """One line of the table: microseconds, share of the peak, ratios."""
    s = result["seconds"]
    share = 3 * result["gflop"] / s["train_1"] / result["peak_gflops"]
    cells = [", ".join(map(str, result["shape"]))]
    cells += [f"{s[name] * 1e6:.0f}" for name in ("infer_1", "train_1", "train")] + [f"{share:.0%}"]
    cells += [f"{s[name] * 1e6:.0f}" for name in ("numpy_train_1", "numpy_train")]
    cells += [f"{s[f'numpy_{name}'] / s[name]:.1f}" for name in ("infer_1", "train_1", "train")]
    return f"| {' | '.join(cells)} |"


def processor() -> str:
    """The processor's name, where the operating system tells it."""
    info = Path("/proc/cpuinfo")
    names = [line for line in info.read_text().splitlines() if line.startswith("model name")] if info.is_file() else []
    return names[0].split(":", 1)[1].strip() if names else platform.processor()


def main() -> None:
    """Measure all shapes and write the results."""
    meter = peak_meter()
    results = []
    print(HEAD, end="", flush=True)
    for shape in SHAPES:
        results.append(measure(*shape, meter))
        print(row(results[-1]), flush=True)
    peak = median(r["peak_gflops"] for r in results)
    machine = {"processor": processor(), "cpus": cpus(), "numpy": np.__version__, "peak_gflops": round(peak, 1)}
    title = (f"{processor()}, {cpus()} processors, {peak:.0f} Gflop/s of multiply-adds on one; float32, microseconds a "
             f"call from Python, on one thread where nothing else is said, medians of {ROUNDS} rounds.\n\n")  # fmt: skip
    (HERE / "results").mkdir(exist_ok=True)
    found = json.dumps({"machine": machine, "results": results}, indent=1) + "\n"
    (HERE / "results" / "against_numpy.json").write_text(found, encoding="utf-8")
    table = title + HEAD + "\n".join(map(row, results)) + "\n"
    (HERE / "results" / "against_numpy.md").write_text(table, encoding="utf-8")


if __name__ == "__main__":
    main()
