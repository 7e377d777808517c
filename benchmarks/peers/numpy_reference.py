"""The NumPy of derive/verify/references/, written by hand from the papers: one GEMM for W x of all steps, one per step for U h.

Its training computes the gradient of x as well; the published figures count it as it is.
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

import numpy as np
import threadpoolctl

from benchmarks.problem import Contender, Problem, Unsupported
from benchmarks.shapes import INFERENCE


class NumPyReference:
    """NumPy with the BLAS that it brings."""

    def start(self, threads: int) -> dict[str, Any]:
        self._limit = threadpoolctl.threadpool_limits(threads, "blas")
        found = [library["num_threads"] for library in threadpoolctl.threadpool_info() if library["user_api"] == "blas"]
        if any(count != threads for count in found):
            raise Unsupported(f"BLAS runs on {found} threads where {threads} were asked for")
        return {"version": np.__version__, "threads": max(found, default=1)}

    def prepare(self, problem: Problem, op: str) -> Contender:
        name = f"derive.verify.references.{problem.cell}"
        if importlib.util.find_spec(name) is None:
            raise Unsupported("no reference is written for this cell")
        written = importlib.import_module(name)
        x, y, params = problem.x, problem.y, problem.params
        if op == INFERENCE:
            return Contender(lambda: written.forward(x, params), lambda result: {"out": result[0]})
        return Contender(
            lambda: written.loss_and_grad(x, y, params),
            lambda result: {"loss": np.asarray(result[0]), **result[1]},
            with_dx=True,
        )
