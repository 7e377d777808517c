"""The compiled cells of this project: the Python call, a plan of repeated calls, and the C function alone."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np

import derive
from benchmarks.machine import processors
from benchmarks.problem import Arrays, Contender, Problem, Unsupported, module
from benchmarks.shapes import INFERENCE
from derive.runtime.core.isa import NAMES

REAL = {"float32": "f32", "float64": "f64"}
FUNCTION = {"inference": "infer", "training": "loss_and_grad"}


def _inference(result: Any) -> Arrays:
    return {"out": result[0]}


def _training(result: Any) -> Arrays:
    loss, grads = result
    return {"loss": np.asarray(loss), **grads}


class Ours:
    """`infer` and `loss_and_grad`, on as many threads as they find worth while."""

    def start(self, threads: int) -> dict[str, Any]:
        return {"version": derive.__version__, "threads": len(processors()), "isa": derive.cpu()["isa"]}

    def prepare(self, problem: Problem, op: str) -> Contender:
        cell, x, y, params = module(problem.cell), problem.x, problem.y, problem.params
        if op == INFERENCE:
            return Contender(lambda: cell.infer(x, params), _inference)
        # Peers leave out the gradient of x, which training does not need.
        if "wrt" in inspect.signature(cell.loss_and_grad).parameters:
            wrt = tuple(params)
            return Contender(lambda: cell.loss_and_grad(x, y, params, wrt=wrt), _training)
        return Contender(lambda: cell.loss_and_grad(x, y, params), _training, with_dx=True)


class Planned(Ours):
    """The same through a plan, which has checked and allocated everything beforehand."""

    def prepare(self, problem: Problem, op: str) -> Contender:
        cell, x, y, params = module(problem.cell), problem.x, problem.y, problem.params
        if not hasattr(cell, "plan"):
            raise Unsupported("this version has no plans")
        plan = cell.plan(params, problem.shape.T, problem.shape.B, wrt=tuple(params))
        if op == INFERENCE:
            return Contender(lambda: plan.infer(x), _inference)
        return Contender(lambda: plan.loss_and_grad(x, y), _training)


class Kernel:
    """The C function on one thread, from a struct of arguments that is filled beforehand, without the gradient of x."""

    def start(self, threads: int) -> dict[str, Any]:
        if threads > 1:
            raise Unsupported("a call on several threads is several C functions, which Python starts")
        return {"version": "", "threads": 1}

    def prepare(self, problem: Problem, op: str) -> Contender:
        cell, real = module(problem.cell), REAL[problem.dtype]
        ffi, lib = cell._kernels.ffi, cell._kernels.lib
        name = cell.SPEC["name"]
        args = ffi.new(f"{name}_{real}_args *")
        args.T, args.B = problem.shape.T, problem.shape.B
        args.I, args.H = problem.shape.I, problem.shape.H
        args.isa = NAMES.index(derive.cpu()["isa"]) + 1
        sizes = ffi.new(f"{name}_sizes *")
        _succeed(getattr(lib, f"{name}_{real}_sizes")(args, sizes), problem)
        arrays = _arrays(problem, cell.STATES)
        arrays["tape"] = np.zeros(sizes.tape // arrays["x"].itemsize, problem.dtype)
        workspace = np.zeros(getattr(sizes, FUNCTION[op]) + 64, np.uint8)
        workspace = workspace[-workspace.ctypes.data % 64 :][: getattr(sizes, FUNCTION[op])]
        for field, array in arrays.items():
            setattr(args, field, ffi.cast("void *", ffi.from_buffer(array)))
        args.workspace, args.workspace_size = ffi.from_buffer(workspace), workspace.nbytes
        function = getattr(lib, f"{name}_{real}_{FUNCTION[op]}")

        def result(code: int) -> Arrays:
            _succeed(code, problem)
            if op == INFERENCE:
                return {"out": arrays["out"]}
            return {"loss": arrays["loss"][0], **{n: arrays[f"d_{n}"] for n in problem.params}}

        # C knows addresses only: the contender keeps the memory behind them.
        return Contender(lambda: function(args), result, keeps=(arrays, workspace))


def _arrays(problem: Problem, states: tuple[str, ...]) -> Arrays:
    """Every array that the struct points to but for tape and workspace, by field. d_x stays NULL: no call asks for it."""
    T, B, _, H = problem.shape
    shapes = {"out": (T, B, H), "d_out": (T, B, H), "loss": (1,)}
    shapes |= {f"{start}{name}_{end}": (B, H) for name in states for end in "0T" for start in ("", "d_")}
    shapes |= {f"d_{name}": array.shape for name, array in problem.params.items()}
    zeros = {name: np.zeros(shape, problem.dtype) for name, shape in shapes.items()}
    return {"x": problem.x, "y": problem.y, **problem.params, **zeros}


def _succeed(code: int, problem: Problem) -> None:
    if code:
        raise Unsupported(f"the C function returns the error {code} for {problem}")
