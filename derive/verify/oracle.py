"""What a module has to give, by the interpreter: outputs, final states, loss and gradients, and how far roundings go.

Gradients come from the unsimplified `vjp` of the cell's program, evaluated as it stands.  `vjp` itself is held against
a complex step through the forward equations, in one direction that moves every input at once.

How much of an error is rounding is not guessed: the same equations are evaluated again with every node of every
expression off by a random relative amount, and what that does to a result is what rounding may do to it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from derive.notation import Cell, Loss
from derive.notation.public import target_names
from derive.passes.adjoint import adjoint_name, vjp
from derive.verify.interpreter import order_of, run
from derive.verify.problem import Places, Problem, counted

Array = Any
# Relative disturbances: the roundings of float32, and some that are smaller by DOWN.
STEP, DOWN = 2.0**-23, 2.0**-7
TINY = 1e-100  # the complex step: its square is nothing
LARGEST = 1e12  # beyond it float32 overflows in the next product or two


class Expected:
    """Results by name, (T, B, dim) or (B, dim) as a module gives them, and how far each may be off by rounding.

    Names: "out", "<state>_T", "loss"; "backward <gradient>" for an objective with derivatives `d_out` and `d_state`;
    "loss <gradient>".  A gradient is an input, a parameter array or "<state>0".
    """

    def __init__(self, values: dict[str, Array], usual: bool, roundings: Callable[[], Roundings]) -> None:
        self.values, self.usual, self._roundings = values, usual, roundings

    @cached_property
    def roundings(self) -> Roundings:
        """Two more evaluations, so they are made where a difference asks for them, and not before."""
        return self._roundings()

    def forward(self) -> Expected:
        """The same without gradients, whose NaN and infinities depend on the form of a formula."""
        values = {n: a for n, a in self.values.items() if " " not in n}
        return Expected(values, self.usual, self._roundings)


@dataclass(frozen=True)
class Roundings:
    """The largest change of an element of a result by roundings of a type.

    `steady`: no branch of a function with a kink depends on roundings of float32.
    """

    float32: dict[str, float]
    float64: dict[str, float]
    steady: bool


class Oracle:
    """The programs of a cell and its loss, to be evaluated for any problem."""

    def __init__(self, cell: Cell, loss: Loss) -> None:
        self.primal = cell.program()
        self.output = self.primal.facts.output
        self.states = tuple(self.primal.facts.states)
        self.adjoint = vjp(self.primal)
        self.objective = vjp(loss.of(self.primal.tensors[self.output]), [self.output])
        tensors, named = self.objective.tensors, target_names(self.objective)  # tensor -> public name
        self.targets = list(named)
        self.timed_targets = {n: public for n, public in named.items() if tensors[n].time is not None}
        # Python gives the count of a mean itself.
        self.fixed_targets = {
            n: public for n, public in named.items() if tensors[n].time is None and tensors[n].role != "count"
        }
        self.loss = self.objective.of_role("loss")[0].name
        self.places = Places(self.primal)
        self.orders = {n: order_of(p) for n, p in vars(self).items() if n in ("primal", "adjoint", "objective")}
        self.seeds = {x.primal: x.name for x in self.adjoint.tensors.values() if x.role == "seed"}

    # -- one evaluation ------------------------------------------------------------------------------------------------

    def evaluate(self, problem: Problem, dtype: Any = np.float64, disturb: Any = None) -> dict[str, Array]:
        """All results of a problem, in one precision; see Expected for the names.  "largest" is that of all tensors."""
        values = {n: a.astype(dtype) for n, a in problem.values.items()}
        with np.errstate(all="ignore"):
            out = self._outputs(run(self.primal, values, problem.sizes, disturb, self.orders["primal"]))
            given = {self._prediction(): out, **{n: problem.targets[n].astype(dtype) for n in self.targets}}
            of_loss = run(self.objective, given, problem.sizes, disturb, self.orders["objective"])
            seed = of_loss[adjoint_name(self.output)]
            results = self._backward(problem, values, seed, disturb)
        first = slice(0, problem.batch)
        found = {"out": np.moveaxis(out, 0, 1), "loss": of_loss[self.loss].sum()}
        found |= {f"{s}_T": results[f"{s}_T"][first] for s in self.states}
        for title, part in (("backward", first), ("loss", slice(problem.batch, None))):
            found |= {f"{title} {n}": a for n, a in self._gradients(results, part).items()}
        # NumPy's maximum is NaN where one of the numbers is; Python's depends on the order.
        found["largest"] = np.max([np.abs(a).max(initial=0) for a in (*results.values(), *of_loss.values())])
        return found

    def _prediction(self) -> str:
        assert self.objective.primal is not None
        return next(x.name for x in self.objective.primal.of_role("input"))

    def _outputs(self, results: Mapping[str, Array]) -> Array:
        """(B, T, *dims): a state has its initial value in front."""
        time = self.primal.tensors[self.output].time
        return results[self.output][:, 1:] if time is not None and time[0] == 0 else results[self.output]

    def _backward(self, problem: Problem, values: Mapping[str, Array], seed: Array, disturb: Any) -> dict[str, Array]:
        """Every sequence twice: with the derivatives of the problem, and with those of the loss."""
        tensors, dtype = self.primal.tensors, next(iter(values.values())).dtype
        twice = {n: np.concatenate([a, a]) if tensors[n].batched else a for n, a in values.items()}
        given = {self.output: (problem.d_out, seed)}
        given |= {f"{s}_T": (d, np.zeros_like(d)) for s, d in problem.d_state.items()}
        seeds = {seed: np.concatenate(given[name]).astype(dtype) for name, seed in self.seeds.items()}
        return run(self.adjoint, {**twice, **seeds}, problem.sizes, disturb, self.orders["adjoint"])

    def _gradients(self, results: Mapping[str, Array], part: slice) -> dict[str, Array]:
        """Gradients by their public names; the sequences of a batch have been evaluated side by side."""
        places = self.places
        sums = {n: results[adjoint_name(n)][part].sum(axis=0) for n in places.params}
        return {
            **{p: np.moveaxis(results[adjoint_name(n)][part], 0, 1) for n, p in places.inputs.items()},
            **places.gather(sums),
            **{f"{s}0": results[adjoint_name(initial)][part] for s, initial in places.initial.items()},
        }

    # -- results with their roundings ----------------------------------------------------------------------------------

    def expected(self, problem: Problem) -> Expected:
        """Results in the longest floating point that there is."""
        exact = self.evaluate(problem, np.longdouble)
        largest = exact.pop("largest")
        values = {n: np.asarray(a) for n, a in exact.items()}
        usual = bool(np.isfinite(largest) and largest < LARGEST)
        return Expected(values, usual, lambda: self._roundings(problem, values))

    def _roundings(self, problem: Problem, exact: Mapping[str, Array]) -> Roundings:
        coarse, fine = (self.evaluate(problem, np.float64, _Disturbance(s)) for s in (STEP, STEP * DOWN))
        float32, float64, steady = {}, {}, True
        for name, value in exact.items():
            one, two = (float(np.abs(other[name] - value).max(initial=0)) for other in (coarse, fine))
            float32[name] = max(one, two / DOWN)
            float64[name] = two / DOWN * float(np.finfo(np.float64).eps / STEP)
            # Where everything is smooth, an error shrinks with what causes it.
            steady &= bool(one * DOWN <= 200 * two or one <= 1e-30)
        return Roundings(float32, float64, steady)

    def ragged(self, problem: Problem, lengths: list[int]) -> Expected:
        """The same for sequences of several lengths: each as it is alone, with what a batch sums summed."""
        problem = counted(problem, self.objective, lengths)
        parts = [self.expected(problem.rows(self.primal, self.objective, row, n)) for row, n in enumerate(lengths)]
        values: dict[str, Array] = {}
        for name in parts[0].values:
            arrays = [p.values[name] for p in parts]
            if name == "out" or name.split()[-1] in self.places.inputs.values():
                whole = np.zeros((problem.steps, problem.batch, *arrays[0].shape[2:]), arrays[0].dtype)
                for row, (array, n) in enumerate(zip(arrays, lengths, strict=True)):
                    whole[:n, row] = array[:, 0]
                    whole[n:, row] = array[-1, 0] if name == "out" else 0
                values[name] = whole
            elif name.split()[-1] in self.places.arrays or name == "loss":
                values[name] = np.sum(arrays, axis=0)
            else:
                values[name] = np.concatenate(arrays)

        def roundings() -> Roundings:
            found = [p.roundings for p in parts]
            single = {n: sum(r.float32[n] for r in found) for n in values}
            double = {n: sum(r.float64[n] for r in found) for n in values}
            return Roundings(single, double, all(r.steady for r in found))

        return Expected(values, all(p.usual for p in parts), roundings)

    # -- vjp against the complex step ----------------------------------------------------------------------------------

    def mistakes_of_vjp(self, problem: Problem, expected: Expected) -> list[str]:
        """Sentences where the gradients of `vjp`, along a random direction, are not those of a complex step."""
        rng = np.random.default_rng(len(problem.values))
        moves = {n: rng.uniform(-1, 1, size=a.shape) for n, a in problem.values.items()}
        values = {n: a + 1j * TINY * moves[n] for n, a in problem.values.items()}
        with np.errstate(all="ignore"):
            results = run(self.primal, values, problem.sizes, order=self.orders["primal"])
            out = self._outputs(results)
            assert self.objective.primal is not None
            of_loss = run(
                self.objective.primal,
                {self._prediction(): out, **{n: problem.targets[n] + 0j for n in self.targets}},
                problem.sizes,
            )
        totals = {
            "backward": (out * problem.d_out).sum()
            + sum((results[f"{s}_T"] * d).sum() for s, d in problem.d_state.items()),
            "loss": of_loss[self.loss].sum(),
        }
        public = {p: np.moveaxis(moves[n], 0, 1) for n, p in self.places.inputs.items()} | self.places.gather(moves)
        public |= {f"{s}0": moves[initial] for s, initial in self.places.initial.items()}
        found = []
        for title, total in totals.items():
            slope, along, allowed = float(total.imag) / TINY, 0.0, 1e-60
            for name, move in public.items():
                value = expected.values[f"{title} {name}"]
                along += float((value * move).sum())
                allowed += 1e-11 * float(np.abs(value * move).sum())
            if not abs(slope - along) <= allowed:
                noise = {n: expected.roundings.float64[f"{title} {n}"] for n in public}
                allowed += sum(100 * noise[n] * float(np.abs(move).sum()) for n, move in public.items())
            if not abs(slope - along) <= allowed:
                what = "the loss" if title == "loss" else "an objective"
                found.append(
                    f"the derived gradients of {what} give the slope {along:.6g} along a direction, a complex step "
                    f"through the equations {slope:.6g}: the derivation is wrong"
                )
        return found


class _Disturbance:
    """Random factors near 1, the same in every run of one size of step."""

    def __init__(self, step: float) -> None:
        self.step, self.rng = step, np.random.default_rng(int(1 / step))

    def __call__(self, array: Array) -> Array:
        return array * (1 + self.step * self.rng.uniform(-1, 1, size=np.shape(array)))
