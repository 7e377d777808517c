"""`@cell`, `@head` and `@loss`, and what they make of a function: an object that has its program on demand."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from derive.errors import DeriveError
from derive.ir import Program, Tensor
from derive.notation import masking, weighting
from derive.notation.joining import join, rebind
from derive.notation.options import Options
from derive.notation.program import written
from derive.notation.spelling import check_spelling, name_of_cell
from derive.notation.whole import check_derived_names, check_loss, check_whole, in_normal_form, per_step, split
from derive.shown import Shown

if TYPE_CHECKING:
    from typing_extensions import Self


@dataclass(frozen=True, eq=False, repr=False)
class Definition(Shown):
    """What a person wrote: its name, its documentation and its equations as they were written."""

    name: str
    doc: str
    source: Program

    def program(self) -> Program:
        """The equations, each split into sums of contractions and pointwise terms and calls of a function."""
        return split(self.name, self.source)

    def __repr__(self) -> str:
        head = f"<{type(self).__name__.lower()} {self.name}"
        return "\n".join([head, *(f"  {equation}" for equation in self.source.equations)]) + ">"


@dataclass(frozen=True, eq=False, repr=False)
class WithConstants(Definition):
    """What has numbers with names.  `again` makes it once more from other numbers."""

    constants: Mapping[str, Any] = field(default_factory=dict)
    again: Callable[[Mapping[str, Any]], Any] | None = None

    def __getstate__(self) -> dict[str, Any]:
        """What another process gets: everything but the function, which it may not find."""
        return {**self.__dict__, "again": None}

    def with_constants(self, **values: Any) -> Self:
        """The same with other numbers.  Raises DeriveError for a constant that it does not have."""
        what = f"{type(self).__name__.lower()} {self.name}"
        for name in values:
            if name not in self.constants:
                raise DeriveError(f"{what} has no constant {name}; it has {', '.join(self.constants) or 'none'}")
        if self.again is None:
            raise DeriveError(
                f"{what} is a copy without the function of its equations; call with_constants on the original"
            )
        made: Self = self.again({**self.constants, **values})
        return made


@dataclass(frozen=True, eq=False, repr=False)
class Cell(WithConstants):
    """A cell: equations with states.  `constants` are the numbers in it that have a name."""

    def program(self) -> Program:
        """The equations, each split into sums of contractions and pointwise terms and calls of a function.

        Raises DeriveError for names that the interface or the gradients have already, and for a size that no caller can
        tell; a cell that a head goes on top of may lack both.
        """
        check_whole(f"cell {self.name}", self.source)
        found = split(f"cell {self.name}", self.source)
        check_derived_names(f"cell {self.name}", found)
        return found

    def normal(self) -> Program:
        """The program, of which normal form is known: DeriveError, with the line, for a sum that no kernel computes."""
        self.program()
        return in_normal_form(f"cell {self.name}", self.source)

    def masked(self, name: str = "mask", title: str = "") -> Cell:
        """The cell with one more input, the mask `name` (T, B): where it is 0 a step keeps all states as they were.

        So are steps masked in Keras, and steps that are not there left out in the middle of a sequence.  `title` names the new
        cell, which is NAME_masked otherwise.  Raises DeriveError for a name that the cell has already.
        """
        where = f"cell {self.name} with a mask"
        spelled = name_of_cell(where, title or f"{self.name}_masked", "the name of the cell")
        mask = check_spelling(where, name, "the name of the mask")

        def again(numbers: Mapping[str, Any]) -> Cell:
            return self.with_constants(**numbers).masked(name, title)

        whole = replace(masking.masked(self.source, mask), name=spelled)
        return Cell(spelled, f"{self.doc.rstrip()}\n\nWith a mask.", whole, self.constants, again)

    def then(self, other: Head, name: str, doc: str = "") -> Cell:
        """The cell with a head on top: the head reads the cell's output, and its own output becomes the output."""
        where = f"cell {self.name} with a head"
        if not isinstance(other, Head):
            raise DeriveError(f"{where}: expected what @head made, found {type(other).__name__}")
        if other.source.of_role("loss"):
            raise DeriveError(
                f"{where}: {other.name} is a loss, which is given when the cell is built, loss={other.name}"
            )
        if not isinstance(name, str):
            raise DeriveError(f"{where}: expected a name for the whole, found {name!r}")
        spelled = name_of_cell(where, name, "the name of the whole")

        def again(numbers: Mapping[str, Any]) -> Cell:
            return self.with_constants(**numbers).then(other, name, doc)

        whole = join(self.source, other.source, spelled)
        return Cell(spelled, doc or f"{self.doc}\n\nWith a head:\n\n{other.doc}", whole, self.constants, again)


class Head(Definition):
    """Equations without states that read a sequence: a readout, or a loss, whose last equation is a scalar."""

    def of(self, prediction: Tensor) -> Program:
        """The program with its first argument bound to the tensor that it judges."""
        found = in_normal_form(f"loss {self.name}", per_step(rebind(self.source, prediction)))
        check_derived_names(f"loss {self.name}", found)
        return found


@dataclass(frozen=True, eq=False, repr=False)
class Loss(WithConstants, Head):
    """A loss.  `constants` are the numbers in it that have a name."""

    def weighted(self) -> Loss:
        """The loss with a weight for each step of each sequence, `weight` (T, B), given by keyword.

        The weights of a mask are 0 and 1, those of the last step are 0 but for it, those of sequences are alike at all steps.
        A step of weight 0 counts for nothing, whatever its targets are, NaN included; the prediction must be finite.
        Raises DeriveError for a loss that has weights.
        """
        return self._changed(weighting.weighted, "weighted")

    def mean(self) -> Loss:
        """The loss divided by how much counts: by the number of steps of all sequences, or the sum of their weights.

        Raises DeriveError for a loss that is a mean.
        """
        return self._changed(weighting.averaged, "mean")

    def _changed(self, change: Callable[[Program], Program], suffix: str) -> Loss:
        def again(numbers: Mapping[str, Any]) -> Loss:
            return self.with_constants(**numbers)._changed(change, suffix)

        made = change(self.source)
        name = f"{self.name}_{suffix}"
        doc = f"{self.doc.rstrip()}\n\n{'With weights.' if suffix == 'weighted' else 'The mean of what counts.'}"
        return Loss(name, doc, replace(made, name=name), self.constants, again)


def cell(
    states: str = "h",
    gates: str = "",
    inputs: str = "",
    *,
    output: str = "",
    keep: str = "",
    constants: Mapping[str, Any] | None = None,
    sizes: Mapping[str, str] | None = None,
    init: Mapping[str, Any] | None = None,
    **public: str,
) -> Callable[[Callable[..., None]], Cell]:
    """Decorator: the body of the function is the cell.  The first state is the output, unless `output` names a value.

    `states` are the tensors that may be read at t-1 (each gets an initial value), `gates` the order in which the public
    weight arrays stack the gates, `**public` the public names of parameters: `bias_hh="v"`.  What is read with time and never
    assigned is an input; `inputs` names those that could be taken for a forgotten value, because they stand behind the
    states among the arguments and have the size of the units.

    `keep` names values of a step that callers read afterwards, beside those that gradients need: tape["z"].
    `constants` are arguments that are numbers, {"tau": 2}; `Cell.with_constants` gives them other values.  `sizes` are names of
    sizes, {"P": "proj_size"}.  `init` are the first values of parameters: a number, "uniform" (the default), "normal", "glorot",
    "orthogonal", "zeros" or "ones", or a dict of these for some gates, {"b": {"f": 1}}.
    Raises DeriveError with the cell, the equation and its line for anything that is no recurrent cell.
    """

    if callable(states):
        raise DeriveError(
            f'cell {getattr(states, "__name__", "")}: write @cell(states="h") above it, with the names of its states'
        )
    if not isinstance(keep, str):
        raise DeriveError(f'@cell(keep={keep!r}): write the names in one string, as in keep="z r"')
    if not isinstance(states, str) or not isinstance(gates, str) or not isinstance(inputs, str):
        more = f", inputs={inputs!r}" if inputs else ""
        raise DeriveError(
            f'@cell(states={states!r}, gates={gates!r}{more}): write the names in one string, as in states="h c"'
        )
    if not states.split():
        raise DeriveError(
            '@cell(states=""): a cell has at least one state, and the first is its output; for equations '
            "without states there is @head"
        )
    _check_public("@cell", public)

    _check_mappings("@cell", constants=constants, sizes=sizes, init=init)

    def with_constants(function: Callable[..., None], numbers: Mapping[str, Any]) -> Cell:
        options = Options(output, numbers, sizes or {}, init or {}, keep.split())
        program = written("cell", function, states.split(), gates.split(), public, inputs.split(), options)
        return Cell(program.name, _doc(function), program, dict(numbers), partial(with_constants, function))

    return lambda function: with_constants(function, constants or {})


def head(*function: Any, **public: str) -> Callable[[Callable[..., None]], Head]:
    """Decorator: a readout.  The first argument is what it reads; the last equation defines the new output."""
    if function:
        raise DeriveError(
            f"head {getattr(function[0], '__name__', function[0])}: write @head() above it, with brackets"
        )
    _check_public("@head", public)

    def build(function: Callable[..., None]) -> Head:
        program = written("head", function, [], [], public)
        last = program.tensors[program.facts.output]
        if not program.facts.inputs or last.time is None or len(last.dims) != 1:
            raise DeriveError(
                f"head {program.name}: expected a head that reads a sequence and ends in another, p[t, o] = ..., found "
                f"{last.at()} = ... as its last equation"
            )
        return Head(program.name, _doc(function), program)

    return build


def loss(function: Any = None, *, constants: Mapping[str, Any] | None = None, **options: Any) -> Any:
    """Decorator: a loss.  First argument the prediction; what else it reads is given by the caller: targets, weights.

    The last equation is the scalar, L[()] = Sum(l[t], t), or mean(l[t], t).  The second sequence is called `y` by the
    functions of a compiled cell, the others keep their names and are given by keyword.  What has no time, such as the weights
    of classes, is the same at every step.  `constants` are arguments that are numbers, {"delta": 1}.
    """
    if (function is None and constants is None) or options:
        raise DeriveError(
            '@loss(...): write @loss above the function, without brackets, or @loss(constants={"delta": 1})'
        )
    _check_mappings("@loss", constants=constants)

    def build(function: Callable[..., None], numbers: Mapping[str, Any]) -> Loss:
        program = written("loss", function, [], [], {}, (), Options(constants=numbers))
        if len(program.facts.inputs) < 2 or program.equations[-1].lhs.args:
            raise DeriveError(
                f"loss {program.name}: expected a prediction, a target and at last a scalar L[()] = ..., found the sequences "
                f"{', '.join(program.facts.inputs) or 'none'} and {program.equations[-1].lhs} = ... at last"
            )
        prediction, *_ = program.facts.inputs
        tensors = {
            name: replace(x, role="target") if name != prediction and x.role in ("input", "param") else x
            for name, x in program.tensors.items()
        }
        objective = replace(program, tensors=tensors, facts=replace(program.facts, prefixes=("L", "D")))
        check_loss(f"loss {program.name}", objective)
        return Loss(program.name, _doc(function), objective, dict(numbers), partial(build, function))

    return build(function, {}) if function is not None else lambda own: build(own, constants or {})


def _check_mappings(where: str, **given: Any) -> None:
    for name, value in given.items():
        if value is not None and not (isinstance(value, Mapping) and all(isinstance(key, str) for key in value)):
            raise DeriveError(f"{where}({name}={value!r}): write a dict, from names to what they mean")


def _check_public(where: str, public: dict[str, Any]) -> None:
    for given, symbol in public.items():
        if not isinstance(symbol, str):
            raise DeriveError(
                f'{where}(..., {given}={symbol!r}): write the name of an argument in quotes, as in {given}="W"'
            )


def _doc(function: Callable[..., None]) -> str:
    module = inspect.getmodule(function)
    return inspect.getdoc(function) or (inspect.getdoc(module) if module else "") or ""
