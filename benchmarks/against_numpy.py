"""The compiled LSTM against the NumPy reference of derive/references/, interleaved, with the FMA peak of the same minute.

    python benchmarks/against_numpy.py            prints a table, writes benchmarks/results/against_numpy.{json,md}

Each figure is the median of ROUNDS rounds, float32, called from Python; a round times every contender in turn, each for
as many calls as fill SLICE seconds.  NumPy's BLAS runs on one thread and on all (threadpoolctl).  Gflop/s count 8 T B H (H + I) operations for inference and three
times that for training (loss, all gradients and that of x).
"""

from __future__ import annotations

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

from derive.generated import lstm
from derive.references import lstm as written
from derive.runtime.split import cpus

HERE = Path(__file__).resolve().parent
SHAPES = [(50, 32, 128, 128), (50, 1, 8, 8), (64, 1, 8, 8), (63, 1, 24, 32), (100, 1, 64, 64), (3, 20, 36, 36), (150, 1, 256, 256),
          (1024, 16, 64, 64), (101, 64, 256, 256)]
ROUNDS = 15
SLICE = 2e-3


def peak_meter() -> Callable[[], float]:
    """A function that measures the multiply-add rate of one core, in Gflop/s."""
    ffi = cffi.FFI()
    ffi.cdef("double peak(long);")
    source = (HERE / "peak.c").read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        ffi.set_source("_peak", source, extra_compile_args=["-O3", "-march=native", "-ffp-contract=fast"])
        path = ffi.compile(tmpdir=folder)
        import importlib.util

        spec = importlib.util.spec_from_file_location("_peak", path)
        assert spec and spec.loader
        module: Any = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return lambda: float(module.lib.peak(1_000_000)) / 1e9


def main() -> None:
    from threadpoolctl import threadpool_limits

    meter = peak_meter()
    results = []
    for T, B, I, H in SHAPES:
        rng = np.random.default_rng(0)
        params = lstm.init_params(I, H)
        x, y = (rng.normal(size=s).astype(np.float32) for s in ((T, B, I), (T, B, H)))
        state = tuple(np.zeros((B, H), np.float32) for _ in lstm.STATES)

        def limited(threads: int | None, call: Callable[[], Any]) -> Callable[[], Any]:
            def run() -> Any:
                with threadpool_limits(threads, "blas"):
                    call()
                    calls, began = 0, time.perf_counter()
                    while True:
                        call()
                        calls += 1
                        passed = time.perf_counter() - began
                        if passed > SLICE:
                            return passed / calls
            return run

        contenders = {
            "ours_infer_1": limited(1, lambda: lstm.infer(x, params, state, threads=1)),
            "ours_infer": limited(1, lambda: lstm.infer(x, params, state)),
            "numpy_infer_1": limited(1, lambda: written.forward(x, params, state)),
            "numpy_infer": limited(cpus(), lambda: written.forward(x, params, state)),
            "ours_train_1": limited(1, lambda: lstm.loss_and_grad(x, y, params, state, threads=1)),
            "ours_train": limited(1, lambda: lstm.loss_and_grad(x, y, params, state)),
            "numpy_train_1": limited(1, lambda: written.loss_and_grad(x, y, params, state)),
            "numpy_train": limited(cpus(), lambda: written.loss_and_grad(x, y, params, state)),
        }
        times: dict[str, list[float]] = {name: [] for name in contenders}
        peaks = []
        for _ in range(ROUNDS):
            peaks.append(meter())
            for name, call in contenders.items():
                times[name].append(call())
        found = {name: median(t) for name, t in times.items()}
        flop = 8.0 * T * B * H * (H + I)
        results.append({"T": T, "B": B, "I": I, "H": H, "peak_gflops": median(peaks), "gflop": flop / 1e9,
                        "seconds": found, "spread": {n: (min(t), max(t)) for n, t in times.items()}})
        print(row(results[-1]), flush=True)
    (HERE / "results").mkdir(exist_ok=True)
    machine = {"processor": cpu_name(), "cpus": cpus(), "python": platform.python_version(), "numpy": np.__version__, "isa": lstm._kernels.lib.lstm_isa()}
    (HERE / "results" / "against_numpy.json").write_text(json.dumps({"machine": machine, "results": results}, indent=1) + "\n")
    (HERE / "results" / "against_numpy.md").write_text(table(machine, results))


def cpu_name() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").is_file() else []:
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def row(result: dict[str, Any]) -> str:
    s, shape = result["seconds"], ", ".join(str(result[k]) for k in "TBIH")
    share = 3 * result["gflop"] / s["ours_train_1"] / result["peak_gflops"]
    return (f"| {shape} | {s['ours_infer_1'] * 1e6:.0f} | {s['ours_train_1'] * 1e6:.0f} | {s['ours_train'] * 1e6:.0f} "
            f"| {share:.0%} | {s['numpy_train_1'] * 1e6:.0f} | {s['numpy_train'] * 1e6:.0f} "
            f"| {s['numpy_infer_1'] / s['ours_infer_1']:.1f} | {s['numpy_train_1'] / s['ours_train_1']:.1f} | {s['numpy_train'] / s['ours_train']:.1f} |")


def table(machine: dict[str, Any], results: list[dict[str, Any]]) -> str:
    head = (f"{machine['processor']}, {machine['cpus']} processors, float32, medians of {ROUNDS} interleaved rounds, microseconds a call.\n\n"
            "| T, B, I, H | inference, 1 thread | training step, 1 thread | training step | of FMA peak | NumPy training, 1 thread | NumPy training "
            "| inference: times faster, 1 thread | training: times faster, 1 thread | training: times faster, all threads |\n"
            "|---|---|---|---|---|---|---|---|---|---|\n")
    return head + "\n".join(map(row, results)) + "\n"


if __name__ == "__main__":
    main()
