"""ONNX Runtime: a graph of one recurrent node. Inference only; weights are constants of the graph and packed once.

ONNX stacks the gates of an LSTM i, o, f, c (ours: i, f, g, o), its peepholes i, o, f, and those of a GRU z, r, h (ours:
r, z, n); biases are the input's and the state's, one after the other.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from benchmarks.problem import Arrays, Contender, Problem, Unsupported
from benchmarks.shapes import INFERENCE

OPSET = 17
NODES = {"lstm": "LSTM", "lstm_peephole": "LSTM", "gru": "GRU", "rnn": "RNN"}
ORDER = {"LSTM": (0, 3, 1, 2), "GRU": (1, 0, 2), "RNN": (0,)}
TYPES = {"float32": TensorProto.FLOAT, "float64": TensorProto.DOUBLE}


class OnnxGraph:
    """The default CPU provider, sequential, with a thread pool of the size that was asked for."""

    def start(self, threads: int) -> dict[str, Any]:
        self._options = options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.log_severity_level = 4
        options.add_session_config_entry("session.set_denormal_as_zero", "1")
        return {"version": onnxruntime.__version__, "threads": options.intra_op_num_threads}

    def prepare(self, problem: Problem, op: str) -> Contender:
        if op != INFERENCE:
            raise Unsupported("ONNX Runtime's wheel does not train")
        if problem.cell not in NODES:
            raise Unsupported("ONNX has no node for this cell")
        graph = model(problem).SerializeToString()
        try:
            session = onnxruntime.InferenceSession(graph, self._options, providers=["CPUExecutionProvider"])
        except Exception as error:
            first = str(error).strip().partition("\n")[0]
            raise Unsupported(f"ONNX Runtime refuses the graph: {first}") from error
        feed = {"X": problem.x}
        return Contender(lambda: session.run(None, feed), lambda result: {"out": result[0][:, 0]})


def model(problem: Problem) -> Any:
    """The graph: X (T, B, I) -> Y (T, 1, B, H) and the last states."""
    kind, hidden = NODES[problem.cell], problem.shape.H
    weights = _weights(problem.params, ORDER[kind], hidden)
    inputs = ["X", "W", "R", "B", "", "", "", "P"] if "P" in weights else ["X", "W", "R", "B"]
    outputs = ["Y", "Y_h", "Y_c"] if kind == "LSTM" else ["Y", "Y_h"]
    extra: dict[str, Any] = {"linear_before_reset": 1} if kind == "GRU" else {}
    node = helper.make_node(kind, inputs, outputs, hidden_size=hidden, **extra)
    real = TYPES[problem.dtype]
    graph = helper.make_graph(
        [node],
        problem.cell,
        [helper.make_tensor_value_info("X", real, list(problem.x.shape))],
        [helper.make_tensor_value_info(name, real, None) for name in outputs],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)


def _weights(params: Arrays, order: tuple[int, ...], hidden: int) -> Arrays:
    def reordered(array: Any) -> Any:
        return np.concatenate([array[gate * hidden : (gate + 1) * hidden] for gate in order])

    bias = params.get("bias_ih", params.get("bias"))
    assert bias is not None
    second = params.get("bias_hh", np.zeros_like(bias))
    found = {
        "W": reordered(params["weight_ih"])[None],
        "R": reordered(params["weight_hh"])[None],
        "B": np.concatenate([reordered(bias), reordered(second)])[None],
    }
    if "peephole_i" in params:
        found["P"] = np.concatenate([params[f"peephole_{gate}"] for gate in "iof"])[None]
    return found
