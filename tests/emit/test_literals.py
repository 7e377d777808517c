"""Constants of both scalar types from one text: each is the number that the cell says, rounded once to the type."""

import ctypes
import ctypes.util
import re

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from derive.backends.shared.printer import FLOAT_MAX, literal
from derive.errors import DeriveError

DIGITS = r"(-?\d+\.\d+(?:e[+-]\d+)?)"


@pytest.fixture(scope="module")
def strtof():
    """How C reads the digits of a float: rounded once, which a way over double is not."""
    read = ctypes.CDLL(ctypes.util.find_library("c")).strtof
    read.restype, read.argtypes = ctypes.c_float, (ctypes.c_char_p, ctypes.c_void_p)
    return lambda text: np.float32(read(text.encode(), None))


def texts(made):
    """The digits for float and those for double, as the macros of derive_f32.h and derive_f64.h take them."""
    if one := re.fullmatch(rf"REAL\({DIGITS}\)", made):
        return one[1], one[1]
    two = re.fullmatch(rf"REAL2\({DIGITS}, {DIGITS}\)", made)
    assert two, made
    return two[1], two[2]


HALFWAY = 1 + 2.0**-24  # between 1 and the next float; the shortest digits of the double are above it


@given(
    st.one_of(
        st.floats(-FLOAT_MAX, FLOAT_MAX),
        st.floats(-4, 4, width=32).map(lambda x: float(x) + float(np.spacing(np.float32(abs(x)))) / 2),
        st.fractions(-9, 9, max_denominator=50).map(float),
    )
)
@example(HALFWAY)
@example(1 / 3)
@example(-0.0)
@example(1e-300)
@example(-1e-46)
@example(FLOAT_MAX)
def test_a_constant_is_rounded_once_to_each_type(strtof, value):
    single, twice = texts(literal(value))
    assert float(twice) == value
    found, expected = strtof(single), np.float32(value)
    assert found == expected and np.signbit(found) == np.signbit(expected)


def test_digits_are_shared_where_they_serve_both():
    assert (
        literal(0.5) == "REAL(0.5)" and literal(-2.0) == "REAL(-2.0)" and literal(1 / 3) == "REAL(0.3333333333333333)"
    )
    assert literal(HALFWAY) == "REAL2(1.0, 1.0000000596046448)"
    assert literal(1e-300).startswith("REAL2(0.0, "), "a compiler warns of digits that vanish in float"


@pytest.mark.parametrize("value", [1e39, -1e300, float("inf")])
def test_what_float_cannot_hold_is_said(value):
    with pytest.raises(DeriveError, match="too large for float32, whose largest number is"):
        literal(value)
