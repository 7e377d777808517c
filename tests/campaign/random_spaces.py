"""Random cells over spaces of several dimensions, as the text of a file that a person could have written.

    random_spaces.text(17)     the file: imports and a cell called spaces_17

Dimensions have an order, n before d before e, and every tensor has its indices in it; sums have letters of their own.  Terms are
batched products (the indices that weight and vector share come first), products and functions of tensors that lie along some of
the dimensions, sums over any of the units, parameters along any of the dimensions or of one number, values of parameters
alone, and inputs and states of earlier steps.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

LETTERS = "nde"
WIDEST = 4  # indices of a parameter
SUMMED = {"n": "k", "d": "l", "e": "m", "j": "j"}
FUNCTIONS = ("tanh({})", "sigmoid({})", "relu({})", "softplus({})", "exp(-({}) ** 2)", "1 / (1 + ({}) ** 2)")


@dataclass(frozen=True)
class Tensor:
    """What may be read: its name, its indices, whether it is a state (read at t-1 too) or has no time."""

    name: str
    space: str
    is_state: bool = False
    is_param: bool = False

    def at(self, letters: str | None = None, when: str = "t") -> str:
        letters = self.space if letters is None else letters
        found = [*([] if self.is_param else [when]), *letters]
        return f"{self.name}[{', '.join(found) or '()'}]"


@dataclass
class Draft:
    """A cell as far as it is drawn."""

    rng: random.Random
    ready: list[Tensor] = field(default_factory=list)
    states: list[Tensor] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    def name(self, prefix: str) -> str:
        self.names.append(f"{prefix}{len(self.names)}")
        return self.names[-1]

    def space(self, within: str = LETTERS, least: int = 0) -> str:
        most = min(len(within), self.rng.choice((1, 2, 2, 3)))
        count = self.rng.randint(min(least, most), most)
        return "".join(sorted(self.rng.sample(within, count), key=within.index))

    def param(self, space: str, prefix: str = "p") -> str:
        return Tensor(self.name(prefix), space, is_param=True).at()

    def sources(self) -> list[tuple[Tensor, str]]:
        """What a step may read, each with a time."""
        before = [(s, self.rng.choice(("t - 1", "t - 1", "t - 1", "t - 2"))) for s in self.states]
        return [*((x, "t") for x in self.ready), *before, *before]

    def read(self, space: str) -> str:
        """A tensor along some of the dimensions of a space; a parameter where there is none."""
        fitting = [(x, when) for x, when in self.sources() if set(x.space) <= set(space)]
        if not fitting or self.rng.random() < 0.2:
            return self.param(self.space(space))
        found, when = self.rng.choice(fitting)
        return found.at(when=when)

    def product(self, space: str, source: tuple[Tensor, str] | None = None) -> str | None:
        """A weight times a vector; what both and the result have comes first, and is not summed."""
        fitting = [s for s in self.sources() if s[0].space and not s[0].is_param]
        found, when = source or self.rng.choice(fitting)
        shared = 0
        while shared < min(len(space), len(found.space)) - 1 and space[shared] == found.space[shared]:
            shared += 1
        shared = self.rng.choice((shared, shared, 0))
        batch, rows = space[:shared], space[shared:]
        if not rows or len(space) + len(found.space) - shared > WIDEST:
            return None
        inner = "".join(SUMMED[letter] for letter in found.space[shared:])
        weight = Tensor(self.name("W"), batch + rows + inner, is_param=True)
        return f"Sum({weight.at()} * {found.at(batch + inner, when)}, {', '.join(inner)})"

    def total(self, space: str) -> str | None:
        """A sum over units that the result has not, of a product that has them."""
        more = [letter for letter in LETTERS if letter not in space]
        whole = "".join(x for x in LETTERS if x in space or (x in more and self.rng.random() < 0.6))
        summed = [x for x in whole if x not in space]
        wide = [(x, when) for x, when in self.sources() if set(x.space) <= set(whole) and set(x.space) & set(summed)]
        if not summed or not wide:
            return None
        found, when = self.rng.choice(wide)
        rest = [x for x in summed if x not in found.space]
        body = f"{found.at(when=when)} * {self.read(whole)}"
        if rest or self.rng.random() < 0.3:
            body += f" * {self.param(''.join(x for x in whole if x in rest or self.rng.random() < 0.5) or rest)}"
        return f"Sum({body}, {', '.join(summed)})"

    def term(self, space: str) -> str:
        kind = self.rng.random()
        found = None
        if kind < 0.35:
            found = self.product(space)
        elif kind < 0.6:
            found = self.total(space)
        elif kind < 0.75:
            found = f"{self.read(space)} * {self.read(space)}"
        elif kind < 0.9:
            found = f"{self.rng.choice(FUNCTIONS).format(self.read(space))} * {self.read(space)}"
        return found or self.read(space)

    def line(self, tensor: Tensor) -> None:
        terms = [self.term(tensor.space) for _ in range(self.rng.choice((1, 2, 2, 3)))]
        body = " + ".join([*terms, self.param(tensor.space, "b")])  # a size stands on a parameter
        if tensor.is_state:
            own = self.product(tensor.space, (self.ready[0], "t")) if tensor.space else None
            body = f"tanh({body} + {own})" if own else f"tanh({body}) * {self.rng.choice(('0.5', '0.9'))}"
            if self.rng.random() < 0.5:
                body = f"{tensor.at(when='t - 1')} / 2 + {body}"
        elif self.rng.random() < 0.5:
            body = self.rng.choice(FUNCTIONS).format(body)
        self.lines.append(f"{tensor.at()} = {body}")


def text(seed: int) -> str:
    """The file of a random cell."""
    rng = random.Random(f"spaces {seed}")
    draft = Draft(rng)
    draft.ready.append(Tensor("x", rng.choice(("j", "j", "nj"))))
    for p in range(rng.choice((1, 2, 2, 3))):
        draft.states.append(Tensor(f"h{p}", draft.space(least=0 if p else 1), is_state=True))
    draft.names += [s.name for s in draft.states]
    for state in draft.states:
        for _ in range(rng.choice((0, 1, 2))):
            once = rng.random() < 0.2
            made = Tensor(draft.name("v"), draft.space(), is_param=once)
            if once:
                body = rng.choice(FUNCTIONS).format(draft.param(made.space))
                draft.lines.append(f"{made.at()} = {body} * {draft.param(draft.space(made.space))}")
            else:
                draft.line(made)
            draft.ready.append(made)
        draft.line(state)
        draft.ready.append(state)
    arguments = ["x", *draft.names]
    states = " ".join(s.name for s in draft.states)
    letters = sorted({*LETTERS, *SUMMED.values()})
    return "\n".join(
        [
            f'"""A random cell over several dimensions: seed {seed}."""',
            "import sympy",
            "from derive.notation import *",
            f'{", ".join(letters)} = sympy.symbols("{" ".join(letters)}")',
            "",
            "",
            f'@cell(states="{states}", inputs="x")',
            f"def spaces_{seed}({', '.join(arguments)}):",
            *(f"    {line}" for line in draft.lines),
            "",
        ]
    )
