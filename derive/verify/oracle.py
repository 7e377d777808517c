"""What a module has to give, by the interpreter: outputs, final states, loss and gradients, and how far roundings go.

Gradients come from the unsimplified `vjp` of the cell's program, evaluated as it stands.  `vjp` itself is held against
a complex step through the forward equations, in one direction that moves every input at once.

How much of an error is rounding is not guessed: the same equations are evaluated again with every node of every
expression off by a random relative amount, and what that does to a result is what rounding may do to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from derive.adjoint import adjoint_name, vjp
from derive.notation import Cell, Head
from derive.reference import run
from derive.verify.problem import Places, Problem

Array = Any
# Relative disturbances: the roundings of float32, and some that are smaller by DOWN.
STEP, DOWN = 2.0**-23, 2.0**-7
LARGEST = 1e12  # beyond it float32 overflows in the next product or two


@dataclass(frozen=True)
class Expected:
    """Results by name, (T, B, dim) or (B, dim) as a module gives them, and how far each may be off by rounding.

    Names: "out", "<state>_T", "loss"; "backward <gradient>" for an objective with derivatives `d_out` and `d_state`;
    "loss <gradient>".  A gradient is "x", a parameter array or "<state>0".  `noise` is the largest change of an element
    by roundings of float32, and `noise64` by those of float64.  `steady`: results are finite, of moderate size, and no
    branch of a function with a kink depends on roundings.
    """

    values: dict[str, Array]
    noise: dict[str, float]
    noise64: dict[str, float]
    steady: bool


class Oracle:
    """The programs of a cell and its loss, to be evaluated for any problem."""

    def __init__(self, cell: Cell, loss: Head) -> None:
        self.primal = cell.program()
        self.output = self.primal.meta["output"]
        self.states = tuple(self.primal.meta["states"])
        self.adjoint = vjp(self.primal)
        self.judge = vjp(loss.of(self.primal.tensors[self.output]), [self.output])
        self.target = self.judge.of_role("target")[0]
        self.loss = self.judge.of_role("loss")[0].name
        self.places = Places(self.primal)
        self.seeds = {x.primal: x.name for x in self.adjoint.tensors.values() if x.role == "seed"}

    # -- one evaluation ------------------------------------------------------------------------------------------------

    def evaluate(self, problem: Problem, dtype: Any = np.float64, disturb: Any = None) -> dict[str, Array]:
        """All results of a problem, in one precision; see Expected for the names.  "largest" is that of all tensors."""
        values = {n: a.astype(dtype) for n, a in problem.values.items()}
        with np.errstate(all="ignore"):
            out = self._outputs(run(self.primal, values, problem.sizes, disturb))
            judged = run(
                self.judge,
                {self._prediction(): out, self.target.name: problem.y.astype(dtype)},
                problem.sizes,
                disturb,
            )
            back = self._backward(problem, values, problem.d_out, problem.d_state, disturb)
            zeros = {s: np.zeros_like(a) for s, a in problem.d_state.items()}
            seed = judged[adjoint_name(self.output)]
            trained = self._backward(problem, values, seed, zeros, disturb)
        found = {"out": np.moveaxis(out, 0, 1), "loss": judged[self.loss].sum()}
        found |= {f"{s}_T": back[f"{s}_T"] for s in self.states}
        for title, results in (("backward", back), ("loss", trained)):
            found |= {f"{title} {n}": a for n, a in self._gradients(results).items()}
        arrays = [*back.values(), *trained.values(), *judged.values()]
        found["largest"] = max(float(np.abs(a).max(initial=0)) for a in arrays)
        return found

    def _prediction(self) -> str:
        assert self.judge.primal is not None
        return next(x.name for x in self.judge.primal.of_role("input"))

    def _outputs(self, results: Mapping[str, Array]) -> Array:
        """(B, T, dim): a state has its initial value in front."""
        time = self.primal.tensors[self.output].time
        return results[self.output][:, 1:] if time is not None and time[0] == 0 else results[self.output]

    def _backward(
        self, problem: Problem, values: Mapping[str, Array], d_out: Array, d_state: Mapping[str, Array], disturb: Any
    ) -> dict[str, Array]:
        given = {self.output: d_out, **{f"{s}_T": d_state[s] for s in self.states}}
        seeds = {seed: given[name].astype(next(iter(values.values())).dtype) for name, seed in self.seeds.items()}
        return run(self.adjoint, {**values, **seeds}, problem.sizes, disturb)

    def _gradients(self, results: Mapping[str, Array]) -> dict[str, Array]:
        """Gradients by their public names; the sequences of a batch have been evaluated side by side."""
        places = self.places
        sums = {n: results[adjoint_name(n)].sum(axis=0) for n in places.params}
        return {
            "x": np.moveaxis(results[adjoint_name(places.input)], 0, 1),
            **places.gather(sums),
            **{f"{s}0": results[adjoint_name(initial)] for s, initial in places.initial.items()},
        }

    # -- results with their roundings ----------------------------------------------------------------------------------

    def expected(self, problem: Problem) -> Expected:
        """Results in the longest floating point that there is, and what roundings do to them."""
        exact = self.evaluate(problem, np.longdouble)
        coarse, fine = (self.evaluate(problem, np.float64, _Disturbance(s)) for s in (STEP, STEP * DOWN))
        largest = exact.pop("largest")
        noise, noise64, steady = {}, {}, bool(np.isfinite(largest) and largest < LARGEST)
        for name, value in exact.items():
            one, two = (float(np.abs(other[name] - value).max(initial=0)) for other in (coarse, fine))
            noise[name] = max(one, two / DOWN)
            noise64[name] = two / DOWN * (np.finfo(np.float64).eps / STEP)
            # Where everything is smooth, an error shrinks with what causes it.
            steady &= bool(one * DOWN <= 200 * two + 1e-300 or one <= 1e-30)
        return Expected({n: np.asarray(a) for n, a in exact.items()}, noise, noise64, steady)

    def ragged(self, problem: Problem, lengths: list[int]) -> Expected:
        """The same for sequences of several lengths: each as it is alone, with what a batch sums summed."""
        parts = [self.expected(problem.rows(self.primal, row, n)) for row, n in enumerate(lengths)]
        values: dict[str, Array] = {}
        noise = {name: sum(p.noise[name] for p in parts) for name in parts[0].values}
        noise64 = {name: sum(p.noise64[name] for p in parts) for name in parts[0].values}
        for name in parts[0].values:
            arrays = [p.values[name] for p in parts]
            if name == "out" or name.endswith(" x"):
                whole = np.zeros((problem.steps, problem.batch, arrays[0].shape[-1]), arrays[0].dtype)
                for row, (array, n) in enumerate(zip(arrays, lengths, strict=True)):
                    whole[:n, row] = array[:, 0]
                    whole[n:, row] = array[-1, 0] if name == "out" else 0
                values[name] = whole
            elif name.split()[-1] in self.places.arrays or name == "loss":
                values[name] = np.sum(arrays, axis=0)
            else:
                values[name] = np.concatenate(arrays)
        return Expected(values, noise, noise64, all(p.steady for p in parts))

    # -- vjp against the complex step ----------------------------------------------------------------------------------

    def mistakes_of_vjp(self, problem: Problem, expected: Expected) -> list[str]:
        """Sentences where the gradients of `vjp`, along a random direction, are not those of a complex step."""
        rng = np.random.default_rng(len(problem.values))
        moves = {n: rng.uniform(-1, 1, size=a.shape) for n, a in problem.values.items()}
        values = {n: a + 1e-100j * moves[n] for n, a in problem.values.items()}
        with np.errstate(all="ignore"):
            results = run(self.primal, values, problem.sizes)
            out = self._outputs(results)
            assert self.judge.primal is not None
            judged = run(
                self.judge.primal, {self._prediction(): out, self.target.name: problem.y + 0j}, problem.sizes
            )
        totals = {
            "backward": (out * problem.d_out).sum() + sum((results[f"{s}_T"] * d).sum() for s, d in problem.d_state.items()),
            "loss": judged[self.loss].sum(),
        }
        public = {"x": np.moveaxis(moves[self.places.input], 0, 1), **self.places.gather(moves)}
        public |= {f"{s}0": moves[initial] for s, initial in self.places.initial.items()}
        found = []
        for title, total in totals.items():
            slope, along, allowed = float(total.imag) / 1e-100, 0.0, 0.0
            for name, move in public.items():
                value = expected.values[f"{title} {name}"]
                along += float((value * move).sum())
                allowed += 1e-11 * float(np.abs(value * move).sum())
                allowed += 100 * expected.noise64[f"{title} {name}"] * float(np.abs(move).sum())
            if not abs(slope - along) <= allowed:
                found.append(
                    f"the derived gradients of {'the loss' if title == 'loss' else 'an objective'} give the slope {along:.6g} along a "
                    f"direction, a complex step through the equations {slope:.6g}: the derivation is wrong"
                )
        return found


class _Disturbance:
    """Random factors near 1, the same in every run of one size of step."""

    def __init__(self, step: float) -> None:
        self.step, self.rng = step, np.random.default_rng(int(1 / step))

    def __call__(self, array: Array) -> Array:
        return array * (1 + self.step * self.rng.uniform(-1, 1, size=np.shape(array)))
