"""Sizes as expressions: the C of each is its number, its bound is never less, and what saturates has the same value."""

import re

import pytest
import sympy as sp
from hypothesis import given
from hypothesis import strategies as st

from derive import registry
from derive.backends.c import layout
from derive.backends.c.schedule import plan
from derive.backends.c.target import TARGET
from derive.backends.shared.sizes import Blocks, Least, Parity, Quotient, RoundUp, When, bound, number, saturated, size
from derive.errors import DeriveError
from derive.ir import B, T, dimension, t
from derive.pipeline import model

H, I, V = map(dimension, "HIV")
C_IN_PYTHON = {
    "round_up": lambda n, to: -(-n // to) * to,
    "least": min,
    "plus": lambda x, y: x + y,
    "times": lambda x, y: x * y,
}
EXPRESSIONS = (
    RoundUp(H, V) * (H + I),
    (T - t) * 4 * B * H + 2 * H,
    B * H**2 + 3,
    Least(H, B * T) * RoundUp(I, V),
    Blocks(T, H) * Blocks(B, I + V),
    Quotient(T + B, H * I) + Parity(t + 1) * B,
    Blocks(H + I, V) - 1 + Parity(t),
)
VALUES = st.fixed_dictionaries({n: st.integers(1, 60) for n in "TBHIVt"})


def as_python(text):
    return text.replace(" / ", " // ")


@given(VALUES)
def test_the_text_is_the_number(values):
    for expr in EXPRESSIONS:
        assert eval(as_python(size(expr)), {**C_IN_PYTHON, **values}) == number(expr, values), size(expr)


@given(VALUES)
def test_what_saturates_has_the_value_of_the_bound(values):
    for expr in (*EXPRESSIONS[:1], *EXPRESSIONS[2:4], When(sp.Symbol("flag"), B * H, 0)):
        most = bound(expr)
        assert eval(saturated(most), {**C_IN_PYTHON, **values}) == number(most, values)
        assert number(most, values) >= number(expr, {**values, "flag": True})


def test_names_and_differences():
    assert size(T * (H + 4 * I), "a->") == "a->T * (a->H + 4 * a->I)"
    assert size(t - 1) == "t - 1" and size((t + 1) * B) == "(t + 1) * B"
    with pytest.raises(DeriveError, match="only sums and products"):
        saturated(RoundUp(H, V))
    with pytest.raises(DeriveError, match="is no size"):
        size(sp.sqrt(H))


@pytest.mark.parametrize("cell", registry.shipped())
@pytest.mark.parametrize("steps", [1, 7, 50])
def test_no_buffer_is_larger_than_its_bound(cell, steps):
    """For every chunk of steps, whatever a call asks for."""
    isa = TARGET.isa["avx512"]
    for kernel in plan(model(registry.cell(cell))):
        dims = dict.fromkeys(map(str, kernel.program.facts.sizes), 5)
        names = {"T": 50, "B": 3, "steps": steps, **dims, **TARGET.numbers(isa, 4)}
        flags = {f.name: True for f in (layout.RAGGED, layout.HOISTS, layout.LONG)}
        for buffer in layout.buffers(kernel):
            assert number(buffer.values, names | flags) <= number(bound(buffer.values), names), buffer.name
            assert not re.search("steps", size(bound(buffer.values)))
