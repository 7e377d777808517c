"""Random cells in the notation, as the text of a file that a person could have written, drawn from an integer.

    random_cells.text(17)     the file: imports, a cell called random_17, for some seeds a loss called its_loss

A cell has one to four states of different sizes.  Each line of it is a sum of terms; a term is a vector over the units
of the line, perhaps scaled or subtracted.  Vectors are products with matrices (of the input, of states at t-1 and at t,
of values, of products and functions of these, low rank, with a matrix transposed), bias and diagonal parameters, powers,
products, quotients, functions and choices of other vectors, and row reductions times a vector.  Values that nothing reads,
outputs that nothing reads at t-1, gates of different sizes, values of parameters alone and names that mean something
elsewhere occur.  What is drawn does not depend on hash seeds.
"""

from __future__ import annotations

import ast
import random
import re
from dataclasses import dataclass, field

LETTERS = ("n", "k", "m", "o", "i", "j")
STATES = ("h", "c", "s", "q", "u", "a", "v", "r", "e", "hidden", "memory", "f1", "S", "w_", "y", "g", "z")
VALUES = (
    "z",
    "r",
    "e",
    "g",
    "p",
    "f",
    "l",
    "s_hat",
    "mix",
    "gate",
    "norm",
    "out_",
    "L",
    "acc",
    "b2",
    "tmp",
    "rho",
    "Q",
)
PARAMS = ("W", "U", "R", "A", "D", "P", "K", "M", "G", "E", "C")
VECTORS = ("b", "w", "beta", "mu", "lam", "tau", "bias_1", "off", "alpha", "kappa", "nu")
FUNCTIONS = (
    "tanh({})", "sigmoid({})", "relu({})", "softplus({})", "exp(-({}) ** 2)", "log(1 + ({}) ** 2)", "sqrt(1 + ({}) ** 2)",
    "tanh(({}) / 2)", "1 / (1 + ({}) ** 2)", "silu({})", "gelu({})", "gelu_tanh({})", "erf({})", "atan({})", "normal_cdf({})",
    "expm1(({}) / 2)", "elu({}, 0.7)", "leaky_relu({})", "log_sigmoid({})", "softsign({})", "hard_tanh(2 * ({}))",
    "hard_sigmoid(4 * ({}))", "clip({}, -0.3, 0.4)", "maximum({}, 0.1)", "abs({})", "(({}) > 0.15)", "floor(5 * ({})) / 5",
    "sign({})", "spike(({}) - 0.2)",
)  # fmt: skip
# Of two vectors; at times they are one, and equal.
CHOICES = (
    "maximum({0}, {1})", "minimum({0}, 2 * ({1}))", "where({0} > {1}, {2}, {0})", "where(({0} > 0) & ({1} <= 0.3), {1}, {2} / 2)",
    "({0} < {1}) * {2}", "clip({0}, -0.2, {1} ** 2)", "abs({0} - {1} / 3)",
)  # fmt: skip
SPIKE = 'spike = function("spike", lambda v: where(v > 0, 1, 0), derivative=lambda v: 1 / (1 + (pi * v) ** 2))'
CALLED = {name for text in (*FUNCTIONS, *CHOICES) for name in re.findall(r"[a-z_0-9]+(?=\()", text)}
SCALES = ("{}", "{}", "{}", "{} / 2", "0.5 * {}", "Rational(1, 3) * {}", "2 * {}", "{} / 4")


@dataclass
class Tensor:
    """A tensor that may be read: its name, the dimension of its units (None: one number per row), whether it has time."""

    name: str
    dim: str | None
    timed: bool = True
    member: str = ""

    def at(self, index: str | None, before: bool = False) -> str:
        when = ["t - 1" if before else "t"] if self.timed else []
        label = f"{self.name}[{self.member}]" if self.member else self.name
        return f"{label}[{', '.join([*when, *([index] if index else [])])}]"


@dataclass
class Draft:
    """A cell as far as it is drawn."""

    rng: random.Random
    taken: set[str] = field(default_factory=lambda: {"x", "t", "T", "B", "H", "I"})
    ready: list[Tensor] = field(default_factory=list)
    states: list[Tensor] = field(default_factory=list)
    params: list[tuple[Tensor, tuple[str, ...]]] = field(default_factory=list)
    gates: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    def name(self, pool: tuple[str, ...]) -> str:
        free = [n for n in pool if n not in self.taken]
        name = self.rng.choice(free) if free else f"{pool[0]}{len(self.taken)}"
        self.taken.add(name)
        return name

    def chance(self, probability: float) -> bool:
        return self.rng.random() < probability

    # -- parameters --------------------------------------------------------------------------------------------------

    def matrix(self, rows: str, columns: str, i: str, j: str) -> str:
        """An access of a matrix (rows, columns), now and then one that is there already, or a transposed one."""
        fitting = [p for p, dims in self.params if dims == (rows, columns)]
        if fitting and self.chance(0.2):
            return f"{self.rng.choice(fitting).name}[{i}, {j}]"
        turned = [p for p, dims in self.params if dims == (columns, rows)]
        if turned and self.chance(0.1):
            return f"{self.rng.choice(turned).name}[{j}, {i}]"
        found = Tensor(self.name(PARAMS), rows, timed=False)
        self.params.append((found, (rows, columns)))
        return f"{found.name}[{i}, {j}]"

    def vector(self, dim: str, i: str) -> str:
        fitting = [p for p, dims in self.params if dims == (dim,)]
        if fitting and self.chance(0.25):
            return f"{self.rng.choice(fitting).name}[{i}]"
        found = Tensor(self.name(VECTORS), dim, timed=False)
        self.params.append((found, (dim,)))
        return f"{found.name}[{i}]"

    # -- expressions -------------------------------------------------------------------------------------------------

    def read(self, dim: str, i: str, *, states: bool = True) -> str | None:
        """A tensor over a dimension: ready at t, or a state at t-1."""
        choices = [x.at(i) for x in self.ready if x.dim == dim]
        if states:
            choices += [x.at(i, before=True) for x in self.states if x.dim == dim] * 2
        return self.rng.choice(choices) if choices else None

    def dims(self) -> list[str]:
        """Dimensions of which there is something to read."""
        return list(dict.fromkeys([x.dim for x in (*self.ready, *self.states) if x.dim]))

    def other(self, *used: str) -> str:
        return self.rng.choice([s for s in LETTERS if s not in (*used, *self.gates)])

    def operand(self, dim: str, k: str) -> str:
        """What a matrix meets: a vector, a product of two, a function or a power of one."""
        first = self.read(dim, k)
        assert first is not None
        kind = self.rng.random()
        if kind < 0.62:
            return first
        if kind < 0.82:
            return f"{first} * {self.read(dim, k)}"
        if kind < 0.92:
            return self.function(first)
        return f"{first} ** 2"

    def function(self, argument: str) -> str:
        return self.rng.choice(FUNCTIONS).format(argument)

    def product(self, dim: str, i: str, inner: str | None = None) -> str:
        """A matrix times a vector; at times through a second, low-rank, matrix."""
        inner = inner or self.rng.choice(self.dims())
        k = self.other(i)
        if self.chance(0.12):
            m = self.other(i, k)
            middle = f"R{len(self.taken)}"
            left, right = self.matrix(dim, middle, i, m), self.matrix(middle, inner, m, k)
            return f"Sum({left} * Sum({right} * {self.operand(inner, k)}, {k}), {m})"
        return f"Sum({self.matrix(dim, inner, i, k)} * {self.operand(inner, k)}, {k})"

    def number(self, used: tuple[str, ...]) -> str | None:
        """One number per row: a reduction over units."""
        choices = [x.at(None) for x in self.ready if x.dim is None]
        if choices and self.chance(0.5):
            return self.rng.choice(choices)
        dim = self.rng.choice(self.dims())
        k = self.other(*used)
        first = self.read(dim, k)
        body = self.rng.choice(
            (f"{first} ** 2", f"{self.vector(dim, k)} * {first}", f"{first} * {self.read(dim, k)}", f"{first}")
        )
        return f"Sum({body}, {k})"

    def pointwise(self, dim: str, i: str, depth: int = 0) -> str | None:
        """A vector made of others without a sum over units of other vectors."""
        first, second = self.read(dim, i), self.read(dim, i)
        if first is None or second is None:
            return None
        third = self.read(dim, i)
        kinds = [
            lambda: first,
            lambda: f"{self.vector(dim, i)} * {first}",
            lambda: f"{first} * {second}",
            lambda: f"{first} ** 2",
            lambda: f"{first} ** 3",
            lambda: f"{first} * (1 - {second})",
            lambda: f"{first} * {second} * {third}",
            lambda: self.function(first),
            lambda: f"{first} / (1 + {second} ** 2)",
            lambda: f"{first} / (2 + tanh({second}))",
            lambda: f"(1 - {first}) * {second}",
            lambda: f"{self.function(first)} * {second}",
            lambda: f"({first} - {second} / 3) ** 2",
            lambda: self.rng.choice(CHOICES).format(first, second, third),
        ]
        if depth == 0:
            kinds += [lambda: f"{self.number((i,))} * {first}", lambda: self.function(self.total(dim, i, 1))]
        return self.rng.choice(kinds)()

    def term(self, dim: str, i: str, depth: int) -> str:
        kind = self.rng.random()
        if kind < 0.4:
            return self.product(dim, i)
        if kind < 0.48:
            return self.vector(dim, i)
        if kind < 0.54 and depth == 0:
            return f"{self.product(dim, i)} * {self.rng.choice((self.product(dim, i), self.vector(dim, i)))}"
        if kind < 0.6 and depth == 0:
            return f"{self.number((i,))} * {self.vector(dim, i)}"
        return self.pointwise(dim, i, depth) or self.product(dim, i)

    def total(self, dim: str, i: str, depth: int = 0) -> str:
        terms = []
        for _ in range(self.rng.choice((1, 2, 2, 3) if depth == 0 else (1, 2))):
            body = self.term(dim, i, depth)
            whole = self.rng.choice(SCALES)
            body = whole.format(f"({body})" if whole != "{}" and " " in body else body)
            sign = "-" if self.chance(0.22) else "+"
            terms.append((sign, body))
        text = "".join(f" {sign} {body}" for sign, body in terms).strip()
        return text.removeprefix("+ ") if text[0] == "+" else f"-{text[2:]}"

    # -- lines -------------------------------------------------------------------------------------------------------

    def write(self, tensor: Tensor, index: str | None, rhs: str) -> None:
        self.lines.append(f"{tensor.at(index)} = {rhs}")
        if tensor not in self.states:
            self.ready.append(tensor)

    def value(self) -> None:
        """A value: a vector over some dimension, or a number per row, or one made of parameters alone."""
        dim = self.rng.choice([x.dim for x in self.states if x.dim])
        i = self.other()
        kind = self.rng.random()
        numbers = [x.at(None) for x in self.ready if x.dim is None]
        if numbers and self.chance(0.12):
            one, two = self.rng.choice(numbers), self.rng.choice(numbers)
            text = self.rng.choice(
                (f"{one} * {two}", f"tanh({one}) - {two} / 2", f"{one} / (1 + {two} ** 2)", f"{one} ** 2")
            )
            self.write(Tensor(self.name(VALUES), None), None, text)
        elif kind < 0.07 and (vector := self.read(dim, i)) is not None:
            self.normalised(dim, i, vector)
        elif kind < 0.2:
            number = self.number(())
            shape = self.rng.choice(("{}", "{} / 3", "tanh({})", "1 / sqrt(1 + ({}) ** 2)", "sigmoid({})"))
            self.write(Tensor(self.name(VALUES), None), None, shape.format(number))
        elif kind < 0.28:
            text = self.function(self.vector(dim, i))
            if self.chance(0.5):
                text = f"{text} * {self.vector(dim, i)}"
            self.write(Tensor(self.name(VALUES), dim), i, text)
        elif kind < 0.4:
            small = f"N{len(self.taken)}"
            self.write(Tensor(self.name(VALUES), small), i, self.wrapped(self.product(small, i), 0.5))
        else:
            self.write(Tensor(self.name(VALUES), dim), i, self.wrapped(self.total(dim, i), 0.6))

    def normalised(self, dim: str, i: str, vector: str) -> None:
        """A vector with its mean taken off, divided by the root of its mean square."""
        mean, square, values = (Tensor(self.name(VALUES), d) for d in (None, None, dim))
        k = self.other()
        other = vector.replace(f" {i}]", f" {k}]")
        self.write(mean, None, f"Sum({other}, {k}) / 3")
        self.write(square, None, f"Sum(({other} - {mean.at(None)}) ** 2, {k}) / 3")
        self.write(values, i, f"({vector} - {mean.at(None)}) / sqrt({square.at(None)} + 1)")

    def wrapped(self, text: str, probability: float) -> str:
        return self.rng.choice(FUNCTIONS[:5]).format(text) if self.chance(probability) else text

    def gated(self) -> None:
        """Two or three gates over parameters in families; at times their sizes differ."""
        count = self.rng.choice((2, 2, 3))
        self.gates = [self.name(("f", "g", "o", "i", "gate_a", "up")) for _ in range(count)]
        families = [self.name(PARAMS), self.name(PARAMS), self.name(VECTORS)]
        before = self.name(VALUES)
        same = self.chance(0.7)
        dims = [x.dim for x in self.states if x.dim]
        first = self.rng.choice(dims)
        inner = self.rng.choice(dims)
        with_state = self.chance(0.7)
        for gate in self.gates:
            dim = first if same else self.rng.choice(dims)
            i, j, k = (self.rng.choice([s for s in LETTERS if s not in self.gates]) for _ in range(3))
            j = self.other(i)
            k = self.other(i)
            text = f"Sum({families[0]}[{gate}][{i}, {j}] * x[t, {j}], {j})"
            if with_state:
                state = self.rng.choice([x for x in self.states if x.dim == inner])
                text += f" + Sum({families[1]}[{gate}][{i}, {k}] * {state.at(k, before=True)}, {k})"
            if same or self.chance(0.5):
                text += f" + {families[2]}[{gate}][{i}]"
            self.write(Tensor(before, dim, member=gate), i, text)
            self.write(Tensor(gate, dim), i, f"{self.rng.choice(('sigmoid', 'tanh'))}({before}[{gate}][t, {i}])")

    def state(self, state: Tensor) -> None:
        i = self.other()
        assert state.dim is not None
        text = self.total(state.dim, i)
        own = state.at(i, before=True)
        kind = self.rng.random()
        if kind < 0.35:
            text = f"tanh({text})"
        elif kind < 0.6:
            text = (
                f"{self.rng.choice((f'{own} / 2', f'0.9 * {own}', f'{own} * (1 - {own})', f'{own} ** 2 / 4'))} + {text}"
            )
        elif kind < 0.7 and (gate := self.read(state.dim, i, states=False)):
            text = f"{gate} * {own} + (1 - {gate}) * tanh({text})"
        elif kind < 0.76:
            text = self.product(state.dim, i)
        self.write(state, i, text)
        self.ready.append(state)


def text(seed: int) -> str:
    """The file of a random cell, with one input or with several."""
    rng = random.Random(f"cell {seed}")
    draft = Draft(rng)
    draft.ready.append(Tensor("x", "IN"))
    count = rng.choice((1, 1, 2, 2, 2, 3, 3, 4))
    for p in range(count):
        same = p and rng.random() < 0.35
        draft.states.append(Tensor(draft.name(STATES), rng.choice(draft.states).dim if same else f"D{p}"))
    inputs = _further_inputs(random.Random(f"inputs {seed}"), draft)
    if rng.random() < 0.25:
        draft.gated()
    order = list(draft.states)
    rng.shuffle(order)
    for state in order:
        for _ in range(rng.choice((0, 0, 1, 1, 2))):
            draft.value()
        draft.state(state)
    if rng.random() < 0.25:
        draft.value()
    body = _anchored(draft)
    if rng.random() < 0.15:
        rng.shuffle(body)  # the order of lines says nothing
    names = _names(body, draft)
    given = ["x", *(n for n in inputs if n in names)]
    names = [n for n in names if n not in given]
    rng.shuffle(names)
    gates = f', gates="{" ".join(draft.gates)}"' if draft.gates else ""
    states = " ".join(s.name for s in draft.states)
    lines = [
        f'"""A random cell: seed {seed}."""',
        "from derive.notation import *",
        "from derive.notation import loss",
        "",
        "",
    ]
    lines[4:4] = ["", SPIKE] if any("spike(" in line for line in body) else []
    lines += [f'@cell(states="{states}"{gates})', f"def random_{seed}({', '.join([*given, *names])}):"]
    lines += [f"    {line}" for line in body]
    if rng.random() < 0.4:
        lines += ["", "", *_loss(rng)]
    return "\n".join(lines) + "\n"


def _further_inputs(rng: random.Random, draft: Draft) -> list[str]:
    """Now and then one or two inputs beside x, of a size of their own or of that of a state, ready to be read."""
    if rng.random() < 0.65:
        return []
    names = ["in_1", "in_2"][: rng.choice((1, 1, 2))]
    sizes = [f"IN{p}" if rng.random() < 0.5 else rng.choice(draft.states).dim for p in range(len(names))]
    draft.ready += [Tensor(name, size) for name, size in zip(names, sizes, strict=True)]
    return names


def _anchored(draft: Draft) -> list[str]:
    """The lines, and a product with the input for every state whose size no parameter would tell, or that lacks x."""
    lines = list(draft.lines)
    params = "|".join(re.escape(p.name) for p, _ in draft.params) or "-"
    for state in draft.states:
        at = next(p for p, line in enumerate(lines) if line.startswith(f"{state.name}[t, "))
        index = lines[at].split("]")[0].split(", ")[1]
        reads_x = re.search(r"\bx\[t", "\n".join(lines))
        if re.search(rf"\b({params})\[[^\]]*\b{index}\b", lines[at]) and reads_x:
            continue
        k = draft.other(index)
        lines[at] += f" + Sum({draft.matrix(state.dim or '', 'IN', index, k)} * x[t, {k}], {k})"
    return lines


def _names(lines: list[str], draft: Draft) -> list[str]:
    """Every tensor that the lines speak of, as arguments."""
    tree = ast.parse("\n".join(lines))
    found = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    words = {
        "t",
        "Sum",
        "Rational",
        "tanh",
        "sigmoid",
        "relu",
        "softplus",
        "exp",
        "log",
        "sqrt",
        "x",
        "H",
        *LETTERS,
        *CALLED,
    }
    return sorted(found - (words - set(draft.gates)))


LOSSES = (
    ("s[t] = Sum(exp(p[t, n]), n)", "l[t] = log(s[t]) - Sum(y[t, n] * p[t, n], n)"),
    ("s[t] = Sum((p[t, n] - y[t, n]) ** 2, n)", "l[t] = sqrt(1 + s[t])"),
    ("l[t] = Sum(log(1 + (p[t, n] - y[t, n]) ** 2), n)",),
    ("l[t] = Sum((p[t, n] - y[t, n]) ** 4, n) / 4",),
    ("e[t, n] = tanh(p[t, n]) - y[t, n]", "l[t] = Sum(e[t, n] ** 2, n) / 2"),
    ("l[t] = Sum(softplus(-(p[t, n] * y[t, n])), n)",),
    ("a[t] = Sum(p[t, n] * y[t, n], n)", "s[t] = Sum(p[t, n] ** 2, n)", "l[t] = s[t] - 2 * a[t] / sqrt(1 + s[t])"),
    ("s[t] = Sum(p[t, n], n)", "l[t] = Sum((p[t, n] - s[t] / 2 - y[t, n]) ** 2, n)"),
    ("l[t] = Sum(y[t, n] * p[t, n], n)",),
)


def _loss(rng: random.Random) -> list[str]:
    body = [*rng.choice(LOSSES), "L[()] = Sum(l[t], t)"]
    names = [n for n in "psael" if any(f"{n}[t" in line for line in body)]
    arguments = ", ".join(["p", "y", *(n for n in names if n != "p"), "L"])
    return ["@loss", f"def its_loss({arguments}):", *(f"    {line}" for line in body)]
