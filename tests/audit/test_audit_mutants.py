"""The derived equations are right, and each change of one term in one of them is found and called by its name."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sympy as sp
from audit_tools import derived, findings, own_error, rhs_of, with_rhs
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sympy.tensor.indexed import Indexed, IndexedBase

from derive import ir
from derive.audit import Derivation, Verdict
from derive.ir import T, t

CELLS = ("rnn", "lstm", "gru", "lstm_peephole", "lstm_toy")


LARGE = [pytest.param(name, marks=pytest.mark.slow) for name in ("lstm_readout", "lstm_layernorm")]


@pytest.mark.parametrize("cell", [*CELLS, *LARGE])
def test_what_is_derived_is_right(cell: str) -> None:
    made = derived(cell)
    for label in made.claims:
        assert findings(made, label) == (), label


def terms_of(rhs: sp.Expr) -> list[sp.Expr]:
    return list(sp.Add.make_args(rhs))


def labels(made: Derivation, wanted: int = 1) -> list[str]:
    """Equations with at least that many terms that read another delta."""
    return [n for n in sorted(made.claims) if len(terms_of(rhs_of(made, n))) >= wanted and not n.endswith("_0")]


def is_delta(access: sp.Expr) -> bool:
    return ir.name_of(access).startswith("delta_")


@st.composite
def places(draw: st.DrawFn, wanted: int = 1) -> tuple[Derivation, str, sp.Expr, sp.Expr]:
    """A derivation, an equation, a term of it that has a delta, and the sum of its other terms."""
    made = derived(draw(st.sampled_from(CELLS)))
    label = draw(st.sampled_from(labels(made, wanted)))
    terms = [x for x in terms_of(rhs_of(made, label)) if any(is_delta(a) for a in x.atoms(Indexed))]
    assume(terms)
    term = draw(st.sampled_from(terms))
    return made, label, term, rhs_of(made, label) - term


def check(made: Derivation, label: str, rhs: sp.Expr, *verdicts: Verdict) -> None:
    """One finding, of one of these kinds, and the value is off too."""
    mutant = with_rhs(made, label, rhs)
    found = findings(mutant, label)
    assert len(found) == 1, [(f.verdict, f.text()) for f in found]
    assert found[0].verdict in verdicts, (label, ir.text(rhs), found[0].verdict, found[0].text())
    assert own_error(mutant, label) > 1e-9


def deltas(term: sp.Expr) -> set[str]:
    return {ir.name_of(a) for a in term.atoms(Indexed) if is_delta(a)}


COMMON = settings(deadline=None, max_examples=6, derandomize=True)


@COMMON
@given(places(2))
def test_a_dropped_term_is_missing(place: tuple[Derivation, str, sp.Expr, sp.Expr]) -> None:
    made, label, term, rest = place
    check(made, label, rest, Verdict.MISSING)
    (finding,) = findings(with_rhs(made, label, rest), label)
    assert finding.derived is not None
    names = {ir.name_of(a) for k in finding.derived.key for a in k.atoms(Indexed)}
    same = {made.claims[n] for n in deltas(term)}
    assert names == same or len(names) == len(same), (names, same)  # or the name of an adjoint that is the same


@COMMON
@given(places())
def test_a_flipped_sign_is_a_wrong_sign(place: tuple[Derivation, str, sp.Expr, sp.Expr]) -> None:
    made, label, term, rest = place
    check(made, label, rest - term, Verdict.SIGN)


@COMMON
@given(places(), st.sampled_from([2, 3, sp.Rational(1, 2), sp.Rational(-2, 3)]))
def test_a_number_is_a_wrong_factor(place: tuple[Derivation, str, sp.Expr, sp.Expr], scale: sp.Expr) -> None:
    made, label, term, rest = place
    check(made, label, rest + scale * term, Verdict.FACTOR)
    (finding,) = findings(with_rhs(made, label, rest + scale * term), label)
    assert finding.ratio == scale


def shifts(made: Derivation, term: sp.Expr) -> Iterator[tuple[sp.Expr, sp.Expr]]:
    """Accesses at a time, and the same accesses one step earlier or later."""
    for access in sorted(term.atoms(Indexed), key=str):
        tensor = made.tensor(ir.name_of(access))
        if tensor is not None and tensor.time is not None and access.indices[0].has(t):
            for by in (1, -1):
                yield access, access.func(access.base, access.indices[0] + by, *access.indices[1:])


@COMMON
@given(places(), st.data())
def test_a_shifted_access_is_a_wrong_time_index(
    place: tuple[Derivation, str, sp.Expr, sp.Expr], data: st.DataObject
) -> None:
    made, label, term, rest = place
    choices = list(shifts(made, term))
    assume(choices)
    old, new = data.draw(st.sampled_from(choices))
    # Where the left has no time, a delta that moves takes the range of the sum along.
    check(made, label, rest + term.xreplace({old: new}), Verdict.TIME, Verdict.RANGE)


@COMMON
@given(places(), st.data())
def test_another_delta_is_a_wrong_symbol(place: tuple[Derivation, str, sp.Expr, sp.Expr], data: st.DataObject) -> None:
    made, label, term, rest = place
    old = data.draw(st.sampled_from(sorted((a for a in term.atoms(Indexed) if is_delta(a)), key=str)))
    tensor = made.tensor(ir.name_of(old))
    assert tensor is not None
    others = [
        n
        for n in sorted(made.claims)
        if (x := made.tensor(n)) and (x.dims, bool(x.time)) == (tensor.dims, bool(tensor.time))
    ]
    other = data.draw(st.sampled_from(others))
    mutant = rest + term.xreplace({old: IndexedBase(other)[old.indices]})
    assume(own_error(with_rhs(made, label, mutant), label) > 1e-9)  # some deltas are one by their equations
    # Said in what both deltas are made of, one may be a multiple of the other: d_i and d_g of d_c.
    check(made, label, mutant, Verdict.SYMBOL, Verdict.FACTOR)


@COMMON
@given(places(), st.data())
def test_a_term_too_many_is_extra(place: tuple[Derivation, str, sp.Expr, sp.Expr], data: st.DataObject) -> None:
    made, label, term, rest = place
    same = sorted({a for a in term.atoms(Indexed) if is_delta(a)}, key=str)[0]
    tensor = made.tensor(ir.name_of(same))
    assume(tensor is not None and tensor.time is not None)
    gate = sp.Mul(*[x for x in sp.Mul.make_args(term) if isinstance(x, Indexed) and not is_delta(x)])
    extra = 3 * gate**2 * term if not term.has(sp.Sum) else None
    assume(extra is not None and gate != 1)
    check(made, label, rest + term + extra, Verdict.EXTRA)


@pytest.mark.parametrize("cell", CELLS)
def test_a_transposed_matrix_is_a_wrong_index_order(cell: str) -> None:
    made = derived(cell)
    rhs = rhs_of(made, "delta_h")
    for access in sorted(rhs.atoms(Indexed), key=str):
        if len(access.indices) == 2 and ir.name_of(access).startswith("U"):
            check(
                made, "delta_h", rhs.xreplace({access: access.func(access.base, *access.indices[::-1])}), Verdict.INDEX
            )


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("limits", [(2, T), (1, T - 1), (T, T), (1, 1)])
def test_a_shorter_sum_is_a_wrong_range(cell: str, limits: tuple[sp.Expr, sp.Expr]) -> None:
    made = derived(cell)
    for label in sorted(n for n, a in made.claims.items() if a.startswith(("d_W", "d_b"))):
        total = rhs_of(made, label)
        assert isinstance(total, sp.Sum)
        check(made, label, sp.Sum(total.function, (t, *limits)), Verdict.RANGE)


@pytest.mark.parametrize("cell", CELLS)
def test_a_product_for_a_sum_is_called_one(cell: str) -> None:
    made = derived(cell)
    label = "delta_c" if "delta_c" in made.claims else "delta_h"
    deltas = [x for x in terms_of(rhs_of(made, label)) if any(is_delta(a) for a in x.atoms(Indexed))]
    if len(deltas) < 2:
        pytest.skip("one term only")
    rest = rhs_of(made, label) - deltas[0] - deltas[1]
    check(made, label, rest + deltas[0] * deltas[1], Verdict.PRODUCT)
