"""What the decorator says beside states and gates: constants, output, names of sizes, first values; and what is wrong with it."""

from __future__ import annotations

import pickle

import pytest

from derive.errors import DeriveError
from derive.notation import Sum, cell, j, n, t, tanh
from derive.pipeline import model


def made(**options):
    @cell(states="h", **options)
    def mine(x, h, W, tau):
        h[t, n] = tanh(Sum(W[n, j] * x[t, j], j)) * tau + h[t - 1, n]

    return mine


def test_a_constant_is_a_number_and_may_be_another() -> None:
    mine = made(constants={"tau": 2})
    two, three = (str(c.source.equations[0].rhs) for c in (mine, mine.with_constants(tau=3)))
    assert "2*tanh" in two and "3*tanh" in three
    assert mine.constants == {"tau": 2}


def test_sizes_and_first_values_reach_the_interface() -> None:
    meta = model(made(constants={"tau": 2}, sizes={"H": "units"}, init={"W": "glorot"})).meta
    assert meta["dims"]["H"] == "units" and set(meta["init"].values()) == {"glorot"}


WRONG = (
    ({"constants": {"tau": True}}, "the constant tau is True"),
    ({"constants": {"tau": float("nan")}}, "the constant tau is nan"),
    ({"constants": {"tau": 2}, "output": "W"}, "the output W is no value of a step"),
    ({"constants": {"tau": 2}, "sizes": {"Q": "a"}}, "sizes names 'Q'"),
    ({"constants": {"tau": 2}, "init": {"W": "nice"}}, "the first values of W are 'nice'"),
    ({"constants": {"tau": 2}, "init": {"x": 1}}, "x, which is no parameter"),
)


@pytest.mark.parametrize(("options", "words"), WRONG, ids=[words for _, words in WRONG])
def test_what_is_wrong_is_said(options, words) -> None:
    with pytest.raises(DeriveError, match=words):
        made(**options)


def test_a_constant_that_is_not_there() -> None:
    with pytest.raises(DeriveError, match="has no constant sigma; it has tau"):
        made(constants={"tau": 2}).with_constants(sigma=1)


def test_constants_are_those_of_the_cell_under_a_head_too() -> None:
    from derive.notation import head, o

    @head()
    def readout(h, p, V):
        p[t, o] = Sum(V[o, n] * h[t, n], n)

    whole = made(constants={"tau": 2}).then(readout, "mine_readout")
    assert "3·tanh" in repr(whole.with_constants(tau=3)) and "2·tanh" in repr(whole)
    copied = pickle.loads(pickle.dumps(whole))
    with pytest.raises(DeriveError, match="a copy without the function"):
        copied.with_constants(tau=3)
