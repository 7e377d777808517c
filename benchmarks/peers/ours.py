"""The compiled cells of this project: the Python call as a user makes it, and the C function alone."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np

from benchmarks.problem import Arrays, Contender, Problem, Unsupported, module
from benchmarks.shapes import INFERENCE
from derive.runtime.split import cpus


def _inference(result: Any) -> Arrays:
    return {"out": result[0]}


def _training(result: Any) -> Arrays:
    loss, grads = result
    return {"loss": np.asarray(loss), **grads}


class Ours:
    """`infer` and `loss_and_grad`, on as many threads as they find worth while."""

    def start(self, threads: int) -> dict[str, Any]:
        import derive

        return {"version": derive.__version__, "threads": cpus(), "isa": derive.cpu()["isa"]}

    def prepare(self, problem: Problem, op: str) -> Contender:
        cell, x, y, params = module(problem.cell), problem.x, problem.y, problem.params
        if op == INFERENCE:
            return Contender(lambda: cell.infer(x, params), _inference)
        # Peers leave out the gradient of x, which training does not need.
        if "wrt" in inspect.signature(cell.loss_and_grad).parameters:
            wrt = tuple(params)
            return Contender(lambda: cell.loss_and_grad(x, y, params, wrt=wrt), _training)
        return Contender(lambda: cell.loss_and_grad(x, y, params), _training, with_dx=True)


class Kernel:
    """The C function on one thread, from a struct of arguments that is filled beforehand: no checks, no allocation."""

    def start(self, threads: int) -> dict[str, Any]:
        if threads > 1:
            raise Unsupported("a call on several threads is several C functions, which Python starts")
        return {"version": "", "threads": 1}

    def prepare(self, problem: Problem, op: str) -> Contender:
        public = Ours().prepare(problem, op)
        public.call()
        cell = module(problem.cell).infer.__self__  # type: ignore[attr-defined]  # a method of the runtime's Cell
        kernels = cell._kernels[np.dtype(problem.dtype)]
        plan = kernels.plans[tuple(a.shape for a in (problem.x, *problem.params.values()))]
        call = plan.infer if op == INFERENCE else plan.loss_and_grad
        arrays = _arrays(problem, cell, plan)
        slot = call.run([arrays[name] for name in call.fields])
        function, args = call.function, slot.args

        def result(_: Any) -> Arrays:
            if op == INFERENCE:
                return {"out": arrays["out"]}
            grads = {name: arrays[f"d_{name}"] for name in problem.params}
            return {"loss": np.asarray(slot.loss[0]), **grads}

        return Contender(lambda: function(args), result, with_dx=public.with_dx)


def _arrays(problem: Problem, cell: Any, plan: Any) -> Arrays:
    """Every array that a struct of arguments can point to, by the name of the field."""
    states = {
        f"{name}_{end}": shape for end in "0T" for name, shape in zip(cell.STATES, plan.state_shapes, strict=True)
    }
    made = {"out": plan.out_shape, **states, "d_x": plan.x_shape}
    made |= {f"d_{name}": array.shape for name, array in problem.params.items()}
    made |= {f"d_{name}": shape for name, shape in states.items()}
    zeros = {name: np.zeros(shape, problem.dtype) for name, shape in made.items()}
    return {"x": problem.x, "y": problem.y, **problem.params, **zeros}
