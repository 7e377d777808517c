"""The plain backend: scalar C of every cell, forwards and backwards, against its equations."""

from __future__ import annotations

import pytest
from c_tools import CELLS
from plain_tools import TYPES, Library, case, compare, oracle

SAMPLE = (
    "two layers",
    "Greek letters",
    "the output is called x and the input out",
    "gates of two sizes",
    "indices of SymPy, and a size that is a word of C",
    "numbers of every kind",
    "sizes in formulas",
    "a product of two numbers of a row beside a vector",
    "states in another order, one of them read at t alone",
    "a constant",
    "an output that does not depend on the input",
    "suggested: a state of size one",
    "suggested: an input and a state kept for a step more",
    "suggested: max by relu, and a power by its logarithm",
    "a gate without the input beside one with it",
    "three sums of two operands each",
    "a matrix read both ways, backwards beside another",
    "a logarithm whose draws are mostly NaN",
    "the hundredth power of what may be negative",
    "fractions whose halves no float32 holds",
)
LONGEST = 4


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """(cell, type) -> its library for calls of up to LONGEST steps; compiled once."""
    kept = {}

    def built(name, real):
        if (name, real) not in kept:
            kept[name, real] = Library(name, real, case(name, 1)[0], LONGEST, tmp_path_factory.mktemp("plain"))
        return kept[name, real]

    return built


@pytest.mark.parametrize("real", TYPES)
@pytest.mark.parametrize("name", [*CELLS, *SAMPLE])
def test_every_result_is_right(library, name, real):
    """Outputs, states, the loss and all gradients, of one step and of several, from states that are not zero."""
    for steps in (1, 3, LONGEST):
        _, problem, expected = case(name, steps)
        compare(library(name, real).results(problem, oracle(name).places), expected, real)
