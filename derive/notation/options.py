"""What the decorator of a cell says beside states and gates: its output, constants, names of sizes, first values."""

from __future__ import annotations

import numbers
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import sympy as sp

from derive.errors import DeriveError
from derive.ir import Tensor
from derive.notation.formulas import in_doubles
from derive.notation.reserved import is_reserved
from derive.notation.writer import Writer

RULES = ("uniform", "zeros", "ones", "orthogonal", "glorot", "normal")


@dataclass(frozen=True)
class Options:
    """`output`: the value that callers get, the first state if it is empty.  `constants`: arguments that are numbers.

    `keep`: values that can be read afterwards.  `sizes`: dimension -> keyword, P: proj_size.  `init`: parameter -> rule or
    number, or gate -> rule or number.
    """

    output: str = ""
    constants: Mapping[str, Any] = field(default_factory=dict)
    sizes: Mapping[str, str] = field(default_factory=dict)
    init: Mapping[str, Any] = field(default_factory=dict)
    keep: Sequence[str] = ()

    @property
    def arguments(self) -> list[str]:
        """The arguments of the function that are named."""
        gates = [g for rule in self.init.values() if isinstance(rule, Mapping) for g in rule]
        return [*([self.output] if self.output else []), *self.constants, *self.init, *gates, *self.keep]

    def numbers(self, where: str, tensors: Iterable[str]) -> dict[str, sp.Expr]:
        """The constants as SymPy has them.  Raises DeriveError for what is no finite number, and for a tensor."""
        found = {}
        for name, value in self.constants.items():
            if name in tensors:
                raise DeriveError(f"{where}: {name} is a constant and a tensor in the decorator; it is one of the two")
            number = in_doubles(sp.sympify(value)) if isinstance(value, (numbers.Real, sp.Expr)) else None
            if isinstance(value, bool) or number is None or not number.is_number or not number.is_finite:
                raise DeriveError(f"{where}: the constant {name} is {value!r}; a constant is a finite number")
            found[name] = number
        return found

    def spelled(self, names: Mapping[str, str]) -> Options:
        """The options with tensors as they are spelled."""

        def rule(given: Any) -> Any:
            return {names[g]: r for g, r in given.items()} if isinstance(given, Mapping) else given

        return replace(
            self,
            output=names.get(self.output, ""),
            init={names[p]: rule(r) for p, r in self.init.items()},
            keep=[names[v] for v in self.keep],
        )

    def kept(self, where: str, tensors: Mapping[str, Tensor]) -> tuple[str, ...]:
        """The tensors that are kept, members of a family each; DeriveError for what is no value of a step."""
        found = []
        for name in self.keep:
            own = [x.name for x in tensors.values() if name in (x.name, x.family) and x.time is not None]
            if not own or any(tensors[x].role != "value" for x in own):
                raise DeriveError(
                    f"{where}: keep names {name}, which is no value of a step; name one that an equation defines, "
                    f"{name}[t, n] = ..."
                )
            found += own
        return tuple(found)

    def check(self, writer: Writer, tensors: Mapping[str, Tensor], dims: Sequence[str], gates: Sequence[str]) -> None:
        """Raise for an output that is no value, an unknown size, and a rule that is none or belongs to no parameter."""
        where = writer.where
        output = tensors.get(self.output)
        if self.output and (output is None or output.role != "value" or output.time is None):
            raise DeriveError(
                f"{where}: the output {self.output} is no value of a step; name one that an equation defines, "
                f"{self.output}[t, n] = ..."
            )
        for dim, keyword in self.sizes.items():
            if dim not in dims:
                raise DeriveError(f"{where}: sizes names {dim!r}, and the sizes of the cell are {', '.join(dims)}")
            if not isinstance(keyword, str) or not keyword.isidentifier() or is_reserved(keyword):
                raise DeriveError(
                    f"{where}: the size {dim} is to be called {keyword!r}, which is no name of an argument"
                )
        params = {x.family or x.name for x in tensors.values() if x.role == "param"}
        for name, given in self.init.items():
            if name not in params:
                raise DeriveError(
                    f"{where}: init has a rule for {name}, which is no parameter; there are {', '.join(params)}"
                )
            rules = given if isinstance(given, Mapping) else {"": given}
            for gate, rule in rules.items():
                if gate and gate not in gates:
                    raise DeriveError(
                        f"{where}: init has a rule for {name}[{gate}], and the gates are {', '.join(gates)}"
                    )
                if not (isinstance(rule, numbers.Real) and not isinstance(rule, bool)) and rule not in RULES:
                    raise DeriveError(
                        f"{where}: the first values of {name} are {rule!r}; they are a number, or one of {', '.join(RULES)}"
                    )
