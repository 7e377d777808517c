"""Everything that is timed, by name. A class is imported when its peer is asked for: what is not installed is skipped."""

from __future__ import annotations

import importlib
from typing import Any, Protocol

from benchmarks.problem import Contender, Problem

PEERS = {
    "ours": "ours:Ours",
    "plan": "ours:Planned",
    "kernel": "ours:Kernel",
    "torch": "torch_library:TorchLibrary",
    "torch_eager": "torch_loop:TorchEager",
    "torch_compile": "torch_loop:TorchCompiled",
    "jax": "jax_scan:JaxScan",
    "onnxruntime": "onnx_graph:OnnxGraph",
    "numpy": "numpy_reference:NumPyReference",
}
TITLES = {
    "ours": "ours",
    "plan": "ours, plan",
    "kernel": "ours, C alone",
    "torch": "PyTorch",
    "torch_eager": "PyTorch, loop",
    "torch_compile": "torch.compile",
    "jax": "JAX",
    "onnxruntime": "ONNX Runtime",
    "numpy": "NumPy",
}
OURS = ("ours", "plan", "kernel")  # the first is what is compared and judged


class Peer(Protocol):
    """A library. `start` comes once and first, in a process that is confined to `threads` processors."""

    def start(self, threads: int) -> dict[str, Any]:
        """Import, set the number of threads, read it back.

        Returns {"version": ..., "threads": what was read}. Raises ImportError, or Unsupported if the setting did not hold.
        """

    def prepare(self, problem: Problem, op: str) -> Contender:
        """Weights in the library's own layout, and everything compiled that can be. Raises Unsupported."""


def make(name: str) -> Peer:
    """The peer of that name. Raises ImportError where its library is missing."""
    file, _, kind = PEERS[name].partition(":")
    peer: Peer = getattr(importlib.import_module(f"benchmarks.peers.{file}"), kind)()
    return peer
