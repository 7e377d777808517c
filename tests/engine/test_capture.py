"""No index is captured, no access forgotten or counted twice: random programs, and each trap of SymPy on its own.

Programs come from random_programs.py.  They are differentiated and the result is compared with the complex step through
the interpreter, which knows nothing of derivatives.  The limit of 1e-11 is relative to the largest element, or to 1
where all are smaller: a random program may subtract what is almost equal, and nothing says that its gradients are large.
The same programs are drawn in every run; DERIVE_EXAMPLES=1000 draws more, and reduces one that fails to a small one.
"""

from __future__ import annotations

import os
import re
import warnings

import numpy as np
import pytest
import sympy as sp
from engine_tools import STEP, Values, complex_step, derived, draw, gradients
from hypothesis import HealthCheck, Phase, assume, currently_in_test_context, given, settings
from random_programs import programs
from sympy.tensor.indexed import IndexedBase

from derive import ir
from derive.backends.shared.printer import Expression
from derive.errors import DeriveError
from derive.ir import STEPS, Equation, Origin, Program, T, Tensor, t
from derive.ir.functions import sigmoid
from derive.passes.adjoint import jvp, vjp
from derive.passes.batch import batch
from derive.passes.simplify import (
    adjoints,
    fold_constants,
    fold_copies,
    inline,
    make_carries,
    save_values,
    share_products,
    simplify,
)
from derive.verify import interpreter as reference

EXAMPLES = int(os.environ.get("DERIVE_EXAMPLES", "60"))
PASSES = (save_values, make_carries, fold_constants, inline, share_products, fold_copies)
SIZES = {"T": 3, "P": 1, "Q": 2, "R": 3, "B": 2}
LIMIT = 1e-11


def examples(share: float):
    # To shrink a program takes minutes; a campaign of more examples has them.
    phases = tuple(Phase) if "DERIVE_EXAMPLES" in os.environ else (Phase.generate,)
    return settings(
        max_examples=max(1, int(EXAMPLES * share)),
        deadline=None,
        derandomize=True,
        database=None,
        phases=phases,
        suppress_health_check=list(HealthCheck),
    )


def drawn(program: Program, seed: int = 0) -> Values:
    """Values for a program, or none where its recurrence runs away: squares of squares overflow in a few steps."""
    values = draw(program, SIZES, seed, scale=0.4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = reference.run(program, values, SIZES)
    tame = all(np.isfinite(a).all() and np.abs(a).max(initial=0) < 100 for a in result.values())
    assert tame or currently_in_test_context()
    if currently_in_test_context():
        assume(tame)
    return values


def assert_close(found: Values, expected: Values, names: dict[str, str], what: str) -> None:
    for gradient, name in names.items():
        scale = max(1.0, np.abs(expected[name]).max(initial=0))
        error = np.abs(found[gradient] - expected[name]).max(initial=0) / scale
        assert error < LIMIT, f"{gradient} {what}: {error:.1e}"


def assert_gradients(program: Program, passes=()) -> None:
    values = drawn(program)
    expected = complex_step(program, values, SIZES, gradients(program).values())
    assert_close(reference.run(program, values, SIZES), expected, gradients(program), "derived")
    for rule in passes:
        program = ir.verify(rule(program))
        assert_close(reference.run(program, values, SIZES), expected, gradients(program), f"after {rule.__name__}")


# -- random programs ---------------------------------------------------------------------------------------------------


@examples(1)
@given(programs())
def test_every_gradient_of_random_programs_before_and_after_every_pass(program: Program) -> None:
    assert_gradients(vjp(program), PASSES)


@examples(0.15)
@given(programs())
def test_second_order_of_random_programs(program: Program) -> None:
    first = vjp(program)
    assert_gradients(vjp(first), (lambda p: simplify(p)[0],))


@examples(0.25)
@given(programs())
def test_tangents_of_random_programs(program: Program) -> None:
    for source in (program, simplify(vjp(program))[0]):
        moved = jvp(source)
        values = drawn(moved)
        found = reference.run(moved, values, SIZES)
        inputs = {n: values[n] + 1j * STEP * values.get(f"t_{n}", 0) for n in source.inputs}
        along = reference.run(source, inputs, SIZES)
        expected = {f"t_{n}": np.imag(along[n]) / STEP for n in source.outputs}
        assert_close(found, expected, {n: n for n in expected if n in found}, "tangent")


@examples(0.25)
@given(programs())
def test_batches_of_random_programs_are_single_sequences(program: Program) -> None:
    single = simplify(vjp(program))[0]
    many = batch(single)
    values = drawn(many)
    found = reference.run(many, values, SIZES)

    def row(name: str, value, r: int):
        tensor = single.tensors[name]
        return value if not tensor.batched else value[:, r] if tensor.time is not None else value[r]

    rows = [reference.run(single, {n: row(n, a, r) for n, a in values.items()}, SIZES) for r in range(SIZES["B"])]
    for name in single.tensors:
        if single.tensors[name].batched:
            for r, one in enumerate(rows):
                np.testing.assert_allclose(row(name, found[name], r), one[name], rtol=LIMIT, atol=LIMIT, err_msg=name)
        elif name in single.outputs or single.tensors[name].role == "loss":
            np.testing.assert_allclose(
                found[name], sum(one[name] for one in rows), rtol=LIMIT, atol=LIMIT, err_msg=name
            )


# -- what the search found ---------------------------------------------------------------------------------------------

i, j, k, n = (ir.index(s) for s in "ijkn")
P, Q = ir.dimension("P"), ir.dimension("Q")
WHOLE: ir.Span = (sp.Integer(0), T)


def small(*equations: tuple[sp.Expr, sp.Expr], outputs: tuple[str, ...], **tensors: Tensor) -> Program:
    """A program from pairs (left, right); states get their initial values."""
    made = [Equation(lhs, rhs, f"F{p + 1}", STEPS if lhs.has(t) else None) for p, (lhs, rhs) in enumerate(equations)]
    for name, tensor in list(tensors.items()):
        if tensor.time == WHOLE:
            tensors[f"{name}_0"] = Tensor(f"{name}_0", tensor.dims, tensor.indices, "initial")
            made.append(Equation(tensor.at(sp.Integer(0)), tensors[f"{name}_0"].at(), f"F{len(made) + 1}"))
    return ir.verify(Program("small", tensors, tuple(made), outputs))


def state(name: str, *dims: sp.Symbol) -> Tensor:
    return Tensor(name, dims, (n, k)[: len(dims)], time=WHOLE)


def value(name: str, *dims: sp.Symbol) -> Tensor:
    return Tensor(name, dims, (n, k)[: len(dims)], time=STEPS)


X = Tensor("x", (P,), (n,), "input", STEPS)
W = Tensor("w", (P, Q), (n, k), "param", batched=False)
LOSS = Tensor("L", (), (), "loss", batched=False)


def test_a_state_read_within_its_step_says_nothing_of_its_beginning() -> None:
    h, c = state("h", P), state("c", P)
    for rhs in (2 * c.at(), sp.tanh(c.at()), (1 - X.at()) * c.at(), c.at() / (2 + X.at())):
        program = small((c.at(), c.at(t - 1) * X.at() + h.at(t - 1)), (h.at(), rhs), outputs=("h", "c"), x=X, h=h, c=c)
        assert_gradients(vjp(program), PASSES)


def test_a_value_between_two_states_is_not_inlined_past_its_range() -> None:
    h, c, v = state("h", P), state("c", P), value("v", P)
    program = small((c.at(), c.at(t - 1) + X.at()), (v.at(), 2 * c.at()), (h.at(), 3 * v.at()), outputs=("h",), x=X, h=h, c=c,
                    v=v)  # fmt: skip
    assert_gradients(vjp(program), PASSES)


def test_a_constant_adjoint_is_not_folded_past_its_range() -> None:
    h, v = state("h"), value("v")
    program = small((h.at(), h.at(t - 1)), (v.at(), h.at()), (LOSS.at(), sp.Sum(v.at(), (t, 1, T))), outputs=("L",), x=X, h=h,
                    v=v, L=LOSS)  # fmt: skip
    assert_gradients(vjp(program), PASSES)


def test_a_saved_value_is_not_used_where_it_was_not_saved() -> None:
    """tanh(c[t]) is saved on 1..T; that of tanh(c[t-1]) is needed at c(0) as well."""
    h, c, now, before = state("h", P), state("c", P), value("now", P), value("before", P)
    program = small((c.at(), c.at(t - 1) * X.at()), (now.at(), sp.tanh(c.at())), (before.at(), sp.tanh(c.at(t - 1))),
                    (h.at(), now.at() * before.at()), outputs=("h",), x=X, h=h, c=c, now=now, before=before)  # fmt: skip
    assert_gradients(vjp(program), PASSES)
    later, cosine = value("later", P), value("cosine", P)
    program = small((c.at(), c.at(t - 1) * X.at()), (later.at(), sp.sin(c.at(t - 1))), (cosine.at(), sp.cos(c.at())),
                    (h.at(), later.at() * cosine.at()), outputs=("h",), x=X, h=h, c=c, later=later, cosine=cosine)  # fmt: skip
    assert_gradients(vjp(program), PASSES)


def test_a_product_with_the_next_step_is_shared_from_the_first_step_on() -> None:
    """d_y[t+1] h[t] stands in two terms of d_h; it lives on 0..T-1, though both tensors are there on 1..T."""
    h, y = state("h", P), value("y", P)
    program = small(
        (y.at(), (1 - h.at(t - 1)) * h.at(t - 1) ** 2 + X.at()), (h.at(), y.at()), outputs=("h",), x=X, h=h, y=y
    )
    simple = share_products(save_values(vjp(program)))
    assert any(x.role == "shared" and x.time == (sp.Integer(0), T - 1) for x in simple.tensors.values())
    assert_gradients(vjp(program), PASSES)


def test_a_saved_derivative_of_parameters_is_no_sum_over_the_batch() -> None:
    v = Tensor("v", (P,), (n,), "param", batched=False)
    s, y = Tensor("s", (P,), (n,), batched=False), value("y", P)
    program = small((s.at(), sp.sin(v.at())), (y.at(), s.at() * X.at()), outputs=("y",), x=X, v=v, s=s, y=y)
    many = batch(simplify(vjp(program))[0])
    cosine = next(e for e in many.equations if e.origin is Origin.SAVED_DERIVATIVE)
    assert not many.tensors[cosine.target].batched
    assert many.equation("B3").rhs.has(ir.ROW) or any(e.rhs.has(ir.ROW) for e in adjoints(many))


def test_steps_that_read_nothing_are_counted_for_every_sequence() -> None:
    """L = Sum_t (v + x): d L / d v = Sum_t 1, T for each sequence."""
    v, y = Tensor("v", (P,), (n,), "param", batched=False), value("y", P)
    program = small((y.at(), v.at() + X.at()), (LOSS.at(), sp.Sum(y.at(), (n, 1, P), (t, 1, T))), outputs=("L",), x=X, v=v, y=y,
                    L=LOSS)  # fmt: skip
    many = batch(simplify(vjp(program, ["v"]))[0])
    found = reference.run(many, draw(many, SIZES), SIZES)
    np.testing.assert_array_equal(found["d_v"], [SIZES["T"] * SIZES["B"]])


def test_fresh_indices_are_fresh_in_every_equation() -> None:
    """Differentiating twice meets the primed names that the first time left as bound indices, and a cell may use s."""
    s, prime = ir.index("s"), ir.index("n'")
    y = value("y", P)
    double = small((y.at(), sp.Sum(W.at(t, n, s) * W.at(t, prime, s) * X.at(t, prime), (prime, 1, P), (s, 1, Q))), outputs=("y",),
                   x=X, w=W, y=y)  # fmt: skip
    assert_gradients(vjp(double), PASSES)
    assert_gradients(vjp(vjp(double)), (lambda p: simplify(p)[0],))


# -- traps of SymPy ----------------------------------------------------------------------------------------------------


def test_trap_index_capture_by_diff() -> None:
    """diff(Sum(W[j,k] x[k], k), W[j,k]) is Sum(x[k]): SymPy takes the bound k for the one it differentiates by."""
    w, x = IndexedBase("w"), IndexedBase("x")
    captured = sp.Sum(w[n, k] * x[k], (k, 1, Q)).diff(w[n, k])
    assert captured == sp.Sum(x[k], (k, 1, Q)), "SymPy still does it"
    y, given_x = value("y", P), Tensor("x", (Q,), (k,), "input", STEPS)
    program = vjp(small((y.at(), sp.Sum(W.at() * given_x.at(), (k, 1, Q))), outputs=("y",), x=given_x, w=W, y=y))
    gradient = next(e for e in adjoints(program) if e.target == "d_w")
    assert gradient.lhs == IndexedBase("d_w")[n, k]
    assert gradient.rhs == sp.Sum(program.tensors["d_y"].at() * given_x.at(), (t, 1, T))


def test_trap_one_fresh_index_gathers_all_accesses() -> None:
    """d/dh[s,m] of h[t-1,n] h[t-1,k] already has both terms; adding one for each access would count them twice."""
    h = state("h", P)
    recurrent = sp.Sum(h.at(t - 1, n) * h.at(t - 1, k), (k, 1, P)) + h.at(t - 1) ** 2 + X.at()
    assert_gradients(vjp(small((h.at(), recurrent / 4), outputs=("h",), x=X, h=h)), PASSES)
    steps = vjp(small((h.at(), recurrent / 4), outputs=("h",), x=X, h=h)).steps
    assert [s.read.split("[")[0] for s in steps if s.parent == "F1"] == ["x", "h"], (
        "one step for each tensor that is read"
    )


def test_trap_two_times_of_one_tensor_are_two_terms() -> None:
    h, y = state("h", P), value("y", P)
    program = small((h.at(), h.at(t - 1) * X.at()), (y.at(), h.at() * h.at(t - 1)), outputs=("y",), x=X, h=h, y=y)
    assert_gradients(vjp(program), PASSES)


@pytest.mark.parametrize("cell", ["lstm", "lstm_layernorm"])
def test_trap_doit_leaves_piecewise(cell: str) -> None:
    for equation in vjp(derived(cell) if cell == "lstm" else derived(cell).primal).equations:
        assert not equation.rhs.has(sp.Piecewise, sp.KroneckerDelta, sp.Derivative)


def test_trap_unrolling() -> None:
    """Symbolic T: the derived program does not know how long a sequence is, and is as short for a long one."""
    assert all(e.when is None or e.when[1].has(T) for e in derived("lstm").equations)
    assert not any(a.is_Integer and a > 8 for e in derived("lstm").equations for a in e.rhs.atoms(sp.Integer))


def test_trap_the_derivative_of_a_quotient_overflows() -> None:
    a = sp.Symbol("a", real=True)
    quotient = sp.lambdify(a, (1 / (1 + sp.exp(-a))).diff(a), "numpy")
    with np.errstate(all="ignore"):
        assert np.isnan(quotient(-800.0)), "SymPy's own form still does"
    x, y = value("x", P), value("y", P)
    program = vjp(small((y.at(), sigmoid(x.at())), outputs=("y",), x=Tensor("x", (P,), (n,), "input", STEPS), y=y))
    values = {**draw(program, {"T": 2, "P": 1}), "x": np.array([[-800.0], [800.0]])}
    with np.errstate(over="raise", invalid="raise"):
        found = reference.run(simplify(program)[0], values, {"T": 2, "P": 1})
    np.testing.assert_array_equal(found["d_x"], [[0], [0]])


@pytest.mark.parametrize("cell", ["lstm", "gru", "lstm_peephole"])
def test_trap_expand_costs_accuracy(cell: str) -> None:
    """s(1-s) stays a product: no term of an adjoint is a bare square of a gate."""
    for equation in adjoints(simplify(derived(cell))[0]):
        for term in ir.terms(equation.rhs):
            squares = [f for f in sp.Mul.make_args(term) if isinstance(f, sp.Pow) and f.exp == 2]
            assert not squares, f"{equation.id}: {ir.text(term)}"


def test_trap_powers_and_constants_in_c() -> None:
    """ccode prints x**2 and x**(-1/2) as pow, double constants into float code, and Sum as Python text."""
    x = Tensor("x", (P,), (n,), "input", STEPS).at()
    printed = Expression(lambda access: "x", lambda access: True).print(
        x**2 / 3 + 1 / sp.sqrt(x) + x ** sp.Rational(-3, 2)
    )
    assert "pow" not in printed and "REAL(1.0)" in printed and "REAL(0.3333333333333333)" in printed
    assert not re.search(r"(?<!REAL\()\b\d+\.\d", printed), "a constant that has the type of double in every file"
    with pytest.raises(DeriveError, match="no C for Sum"):
        Expression(str, lambda access: True).print(sp.Sum(x, (n, 1, P)))


def test_trap_dummies() -> None:
    """A Dummy has another name in every run, and what it stands in another order."""
    for equation in vjp(derived("rnn")).equations:
        assert not equation.rhs.atoms(sp.Dummy)
    for step in derived("lstm").steps:
        assert not step.local.atoms(sp.Dummy) and not step.contraction.atoms(sp.Dummy)
