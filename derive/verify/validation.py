"""`validate`: a module against its equations, in the cases that have caught the mistakes of generated code so far."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from types import ModuleType
from typing import Any

import numpy as np

from derive import registry
from derive.notation import Cell, Loss
from derive.verify.calls import Calls, Results
from derive.verify.compare import discrepancy, nan_discrepancy
from derive.verify.oracle import Expected, Oracle
from derive.verify.problem import RANGES, Problem, draw, sizes_of, without_states

DTYPES = (np.float64, np.float32)
MOST = 12  # sentences
ATTEMPTS = 3  # draws of one case


@dataclass(frozen=True)
class Case:
    """Sizes, and what is called with them.

    `order` are sizes for the dimensions, in turn: small odd ones, some below a vector, some beyond a panel of any
    instruction set (64 numbers); each dimension is the largest in one of the cases.  `turn` rotates them.
    """

    steps: int
    batch: int
    order: tuple[int, ...]
    turn: int = 0
    tapes: tuple[Any, ...] = (None,)
    wrts: str = "none"
    lengths: tuple[int, ...] = ()
    plain: bool = False
    unbatched: bool = False
    plans: bool = False
    threads: tuple[int | None, ...] = (None,)
    dtypes: tuple[Any, ...] = field(default=DTYPES)

    def title(self, sizes: Mapping[str, int], dtype: Any) -> str:
        """How a sentence names the case."""
        said = [np.dtype(dtype).name, *(f"{n}={v}" for n, v in sizes.items())]
        said += [f"lengths {list(self.lengths)}"] if self.lengths else []
        said += ["zero states"] if self.plain else []
        said += ["no batch axis"] if self.unbatched else []
        return ", ".join(said)


SMALL = (5, 3, 7, 2, 4, 6, 9, 8)
LARGE = (37, 11, 67, 19, 13, 23, 17)
EVERY = (None, "recompute", 1, 2, 3)
CASES = (
    Case(3, 3, SMALL, tapes=EVERY, wrts="all", plans=True, threads=(None, 2)),
    Case(3, 3, SMALL, turn=1, tapes=(None, "recompute", 2), lengths=(1, 3, 2), plans=True),
    Case(1, 1, (3, 1, 2, 5, 4, 6), tapes=(None, "recompute", 1), wrts="some", plans=True, unbatched=True),
    Case(1, 3, LARGE, tapes=(None,), wrts="some"),
    Case(2, 1, LARGE, turn=1, tapes=(None, 1), wrts="some", threads=(None, 2)),
    Case(2, 3, LARGE, turn=2, tapes=(None, "recompute")),
    Case(2, 3, (4, 9, 6, 3, 8, 5), tapes=(None,), wrts="some", plain=True, plans=True),
    Case(5, 1, (9, 5, 2, 3, 8, 7), tapes=(None, 2, 3), wrts="some"),
    Case(3, 100, (2, 3, 5, 4, 7), turn=1, tapes=(None, 2), wrts="some"),
)


def validate(
    module: ModuleType, cell: Cell, loss: Loss | None = None, sizes: Mapping[str, int] | None = None
) -> list[str]:
    """Compare a compiled module with the equations of its cell; one sentence for each discrepancy, none if it is right.

    `loss` and `sizes` are those that the module was built with.  Both dtypes, all calls; see CASES.  What a module gives
    may differ from the equations by roundings, and the more so the worse the cell is conditioned; nothing is refused
    for that.  It needs about a second.
    """
    loss = loss or registry.loss("squared_error")
    validation = _Validation(module, Oracle(cell, loss), dict(sizes or {}))
    validation.run(CASES)
    return validation.sentences()


class _Validation:
    def __init__(self, module: ModuleType, oracle: Oracle, fixed: dict[str, int]) -> None:
        self.module, self.oracle, self.fixed = module, oracle, fixed
        self.dims = list(oracle.primal.facts.sizes)
        self.wrong: dict[str, list[str]] = {}
        self.range = 0

    def sentences(self) -> list[str]:
        found = [
            first + (f" (and {len(more)} more calls)" if more else "") for first, *more in list(self.wrong.values())
        ]
        rest = len(found) - MOST
        return [*found[:MOST], f"and {rest} more results are wrong"] if rest > 0 else found

    def note(self, result: str, sentence: str) -> None:
        """Keep a sentence; those about one result are counted behind the first."""
        self.wrong.setdefault(result, []).append(sentence)

    def run(self, cases: Sequence[Case]) -> None:
        for sentence in self.oracle.places.mistakes(self.module.SPEC):
            self.note(sentence, sentence)
        if self.wrong:
            return
        for case in cases:
            if "B" in self.fixed and self.fixed["B"] != case.batch and case.lengths:
                continue
            self.case(case)
        self.nan()

    # -- one case ------------------------------------------------------------------------------------------------------

    def case(self, case: Case) -> None:
        """One case; with other values where a branch hung on a rounding, so that both sides may be right."""
        for attempt in range(ATTEMPTS):
            problem, expected = self.problem(case, attempt)
            before, self.wrong = self.wrong, {}
            if expected.usual and not case.lengths and not case.plain:  # at 0 a complex step may fall beside a kink
                for sentence in self.oracle.mistakes_of_vjp(problem, expected):
                    self.note(sentence, sentence)
            for dtype in case.dtypes:
                self.compare(case, problem, expected, dtype)
            found_now, self.wrong = self.wrong, before
            if not found_now or expected.roundings.steady or attempt == ATTEMPTS - 1:
                for result, sentences in found_now.items():
                    self.wrong.setdefault(result, []).extend(sentences)
                return

    def problem(self, case: Case, attempt: int) -> tuple[Problem, Expected]:
        """A problem in which all results are finite and of moderate size; else finite; else one to compare the outputs of."""
        turned = [self.dims[(p + case.turn) % len(self.dims)] for p in range(len(self.dims))]
        sizes = {"T": case.steps, "B": self.fixed.get("B", case.batch), **sizes_of(turned, case.order, self.fixed)}
        sizes = {n: sizes[n] for n in ("T", "B", *self.dims)}
        last: tuple[Problem, Expected] | None = None
        for which in (*range(self.range, len(RANGES)), *range(self.range)):
            problem = draw(self.oracle.primal, self.oracle.objective, sizes, RANGES[which], attempt)
            if case.plain:
                problem = without_states(problem, list(self.oracle.places.initial.values()))
            expected = (
                self.oracle.ragged(problem, list(case.lengths)) if case.lengths else self.oracle.expected(problem)
            )
            if expected.usual:
                self.range = which
                return problem, expected
            if last is None and all(np.isfinite(a).all() for a in expected.values.values()):
                last = problem, expected
        return last or (problem, expected.forward())

    def compare(self, case: Case, problem: Problem, expected: Expected, dtype: Any) -> None:
        unbatched = case.unbatched and problem.batch == 1
        lengths = list(case.lengths) or None
        calls = Calls(self.module, self.oracle, problem, dtype, lengths, case.plain, unbatched)
        where = case.title(problem.sizes, dtype)
        for label, results in self._complete(self.called(case, calls), where):
            for name, found in results.items():
                if isinstance(found, str):
                    self.note(name, f"{name} by {label}, {where} {found}")
                elif name in expected.values and (ending := discrepancy(name, found, expected, dtype)):
                    self.note(name, f"{self.said(name)} by {label}, {where}: {ending}")
        for sentence in calls.trespasses():
            self.note(sentence, f"{sentence}, {where}")

    def _complete(self, calls: Iterator[tuple[str, Results]], where: str) -> Iterator[tuple[str, Results]]:
        """The calls that return; one that raises is noted, and ends them."""
        label = "the first call"
        try:
            for label, results in calls:
                yield label, results
        except Exception as error:
            sentence = f"after {label}, {where}, a call raised {type(error).__name__}: {error}"
            self.note(f"{type(error).__name__} {error}"[:60], sentence)

    def called(self, case: Case, calls: Calls) -> Iterator[tuple[str, Results]]:
        for number, threads in enumerate(case.threads):
            own = {} if threads is None else {"threads": threads}
            yield from calls.infer(**own)
            for tape in case.tapes[: 1 if number else None]:
                wrts = self.wrts(case.wrts if tape is None else "some" if case.wrts != "none" else "none")
                yield from calls.train(wrts, **own, tape=tape)
        if case.plans and calls.can_plan():
            for tape in case.tapes[:3]:
                yield from calls.plan(self.wrts("some" if tape is None else "none"), tape=tape)

    def wrts(self, which: str) -> list[Any]:
        params, states = list(self.oracle.places.arrays), [f"{s}0" for s in self.oracle.states]
        inputs = list(self.oracle.places.inputs.values())
        some = [None, *(["params"] if params else []), *inputs, tuple(states)]
        if which == "none":
            return [None]
        if which == "some":
            return some
        return [*some, *(("params", x) for x in inputs if params), *params, *states, *((x, *states) for x in inputs)]

    @staticmethod
    def said(name: str) -> str:
        title, _, gradient = name.partition(" ")
        kinds = {"backward": "the gradient of an objective", "loss": "the gradient of the loss"}
        if gradient:
            return f"{kinds[title]} with respect to {gradient}"
        return {"out": "the output", "loss": "the loss"}.get(name, f"the final state {name}")

    # -- NaN -----------------------------------------------------------------------------------------------------------

    def nan(self) -> None:
        """One NaN in each input: it comes out where the equations bring it, and nowhere else."""
        for name, public in self.oracle.places.inputs.items():
            self.nan_in(name, public)

    def nan_in(self, name: str, public: str) -> None:
        """One NaN in one input."""
        case = Case(3, 3, SMALL, turn=2)
        problem, _ = self.problem(case, 0)
        row = min(1, problem.batch - 1)
        values = problem.values[name]
        values[(row, 1, *[0] * (values.ndim - 2))] = np.nan
        inputs = self.oracle.places.inputs.values()
        with np.errstate(all="ignore"):
            wanted = self.oracle.evaluate(problem)
        for dtype in DTYPES:
            calls = Calls(self.module, self.oracle, problem, dtype)
            where = f"with a NaN in {public}, {case.title(problem.sizes, dtype)}"
            for label, results in self._complete(chain(calls.infer(), calls.train([None])), where):
                for result, found in results.items():
                    if result == "out" or result.endswith("_T"):
                        ending = nan_discrepancy(result, found, wanted[result])
                    elif result.split()[-1] in (*inputs, *(f"{s}0" for s in self.oracle.states)):
                        # Of the other sequences; how a NaN goes back through a simplified formula is not fixed.
                        others = np.delete(found, row, axis=int(result.split()[-1] in inputs))
                        ending = nan_discrepancy(result, others, np.zeros_like(others))
                    else:
                        ending = ""
                    if ending:
                        self.note(f"{result} with NaN", f"{self.said(result)} by {label} {where}: {ending}")
