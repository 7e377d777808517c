"""The letters of the printed derivation: one proper symbol for every tensor of every pass.

A tensor that a person named keeps its name.  One that a pass invented gets what a person would write:

    the adjoint of v                     v with a bar
    the part of it handed to step t-1    v under an arrow to the left
    a value split off by normal form     the first free letter of u, v, w, q, ...
    a product that is formed once        pi_1, pi_2, ...
    the derivative of the loss at h(t)   e, the error signal
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from derive.ir import Origin, Program, Tensor

_GREEK = frozenset(
    "alpha beta gamma delta epsilon zeta eta theta kappa lambda mu nu xi rho tau phi chi psi omega "
    "Gamma Delta Theta Lambda Xi Phi Psi Omega".split()
)
_SPLIT_OFF = ("u", "v", "w", "q", "s", "a", "r", "p")
_ERROR = ("e", r"\varepsilon", r"\eta")
_PRODUCT = (r"\pi", r"\varpi", r"\psi")


@dataclass(frozen=True)
class Letter:
    """A letter with its subscript and accent; indices and time are added where it is read."""

    head: str
    below: str = ""
    accent: str = ""

    def latex(self, indices: Iterable[str] = (), when: str = "") -> str:
        r"""`\bar{z}_{f,n}(t)`: accent over the letter alone, indices after what stands below it."""
        head = rf"{self.accent}{{{self.head}}}" if self.accent else self.head
        listed = list(indices)
        packed = "".join(listed) if all(len(i) == 1 for i in listed) else ",".join(listed)
        below = ",".join(part for part in (self.below, packed) if part)
        return head + (f"_{{{below}}}" if below else "") + (f"({when})" if when else "")


class Names:
    """Letters for all tensors of some programs, which share their tensors' names."""

    def __init__(self, cell: Program, *programs: Program) -> None:
        self.letters: dict[str, Letter] = {}
        tensors = {n: x for p in (cell, *programs) for n, x in p.tensors.items()}
        invented = _invented(cell, *programs)
        written = [x for n, x in tensors.items() if n not in invented and not x.primal and x.role != "shared"]
        self.taken = {_split(x)[0] for x in written}
        for tensor in written:
            self.letters[tensor.name] = Letter(*_split(tensor))
        for name in invented:
            self.letters[name] = Letter(*self._free(_SPLIT_OFF))
        error, product = self._head(_ERROR), self._head(_PRODUCT)
        ids = {e.target: e.id for p in programs for e in p.equations}
        for tensor in tensors.values():
            if tensor.name in self.letters:
                continue
            if tensor.role == "shared":
                self.letters[tensor.name] = Letter(product, ids[tensor.name].removeprefix("P"))
            elif tensor.name.startswith("seed"):
                self.letters[tensor.name] = Letter(error, "", r"\hat" if tensor.name.startswith("seedseed") else "")
            else:
                self.letters[tensor.name] = self._adjoint(tensor)

    def _adjoint(self, tensor: Tensor) -> Letter:
        base = self.letters[tensor.primal]
        carried = tensor.name.startswith("carry")
        over = rf"{base.accent}{{{base.head}}}" if base.accent else base.head
        if tensor.role == "tangent":
            return Letter(over, base.below, r"\dot")
        if tensor.name.startswith("d2_"):  # the adjoint of an adjoint program: hats over what has bars already
            return Letter(over, base.below, r"\widehat" if base.accent else r"\hat")
        again = tensor.name.endswith("_")
        return Letter(
            over, base.below + ("'" if again else ""), r"\overleftarrow" if carried else _bar(base.head, base.accent)
        )

    def _head(self, letters: tuple[str, ...]) -> str:
        found = next((x for x in letters if x not in self.taken), letters[-1])
        self.taken.add(found)
        return found

    def _free(self, letters: tuple[str, ...]) -> tuple[str, str]:
        """The next letter that no tensor has; when they run out the first with a number below."""
        for letter in letters:
            if letter not in self.taken:
                self.taken.add(letter)
                return letter, ""
        number = next(k for k in range(1, 1000) if f"{letters[0]}{k}" not in self.taken)
        self.taken.add(f"{letters[0]}{number}")
        return letters[0], str(number)

    def plain(self, name: str) -> str:
        """The letter without indices or time, as it stands for the whole tensor."""
        return self.letters[name].latex()


def _invented(*programs: Program) -> list[str]:
    """Tensors that normal form or simplification split off from an equation."""
    found = [e.target for p in programs for e in p.equations if e.origin in (Origin.PART, Origin.SAVED_DERIVATIVE)]
    return list(dict.fromkeys(found))


def _split(tensor: Tensor) -> tuple[str, str]:
    """Letter and subscript of a name that a person wrote: gamma_x of gate i is gamma with x,i below it."""
    if tensor.role == "loss" or tensor.name in ("l", "L"):
        return (r"\ell", "") if tensor.name == "l" else (tensor.name, "")
    head, *rest = (tensor.family or tensor.name).strip("_").split("_")  # lambda_ is the letter: Python has the word
    below = [part for part in [*rest, *(tensor.member.split("_") if tensor.family else [])] if part]
    digits = re.fullmatch(r"([A-Za-z])([0-9]+)", head)
    if digits:
        head, below = digits[1], [digits[2], *below]
    letter = head if len(head) == 1 else rf"\{head}" if head in _GREEK else rf"\mathrm{{{head}}}"
    return letter, ",".join(_below(part) for part in below)


def _below(part: str) -> str:
    return part if len(part) == 1 else rf"\{part}" if part in _GREEK else rf"\mathrm{{{part}}}"


def _bar(head: str, accent: str) -> str:
    """A short bar fits one letter; over a word or a second accent it is stretched."""
    return r"\overline" if head.startswith(r"\mathrm") or accent else r"\bar"
