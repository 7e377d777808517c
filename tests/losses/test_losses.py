"""Losses against PyTorch: values and gradients of every loss, with weights and as a mean, for ends that differ."""

import sys
from pathlib import Path

import numpy as np
import pytest

from derive import registry
from derive.cells.rnn import rnn
from derive.errors import DeriveError
from derive.notation import Loss, Sum, head, k, loss, mean, n, one_hot, position, t, tanh, where

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
from tests.campaign import quick  # noqa: E402

T, B, I, H, O = 5, 4, 3, 6, 7
LENGTHS = [3, 5, 1, 4]
CELL = registry.with_head(rnn, "readout")


def of_torch(name):
    """A function of predictions and targets that gives the loss of each step, (T, B); not from derive."""
    torch = pytest.importorskip("torch", reason="the losses that ours are compared with are PyTorch's")
    functions = torch.nn.functional

    def by_class(out, y, **more):
        flat = functions.cross_entropy(out.reshape(-1, O), y.reshape(-1), reduction="none")
        return flat.reshape(out.shape[:2])

    def by_distribution(out, y):
        flat = functions.cross_entropy(out.reshape(-1, O), y.reshape(-1, O), reduction="none")
        return flat.reshape(out.shape[:2])

    return {
        "absolute_error": lambda out, y: functions.l1_loss(out, y, reduction="none").sum(-1),
        "squared_error": lambda out, y: functions.mse_loss(out, y, reduction="none").sum(-1),
        "mean_squared_error": lambda out, y: functions.mse_loss(out, y, reduction="none").mean(-1),
        "huber": lambda out, y: functions.huber_loss(out, y, reduction="none").sum(-1),
        "binary_cross_entropy": lambda out, y: functions.binary_cross_entropy_with_logits(out, y, reduction="none").sum(
            -1
        ),
        "gaussian_nll": lambda out, y, v: functions.gaussian_nll_loss(out, y, v, reduction="none", eps=0).sum(-1),
        "cross_entropy": by_class,
        "soft_cross_entropy": by_distribution,
    }[name]


NAMES = [name for name, one in registry.losses().items() if isinstance(one, Loss)]
CHANGES = ("", "+weighted", "+mean", "+weighted+mean")
# Each loss in one form, and two in all: what is changed is changed alike.
FORMS = [name + CHANGES[p % 4] for p, name in enumerate(NAMES)]
FORMS += [name + change for name in ("cross_entropy", "squared_error") for change in CHANGES]
FORMS = [form for form in dict.fromkeys(FORMS) if form.count("mean") < 2 or "mean_squared" not in form]
FORMS = [form for form in FORMS if not (form.startswith("mean_") and form.endswith("+mean"))]


def drawn(module, name):
    rng = np.random.default_rng(len(name))
    params = module.init_params(input_size=I, hidden_size=H, output_size=O, seed=1, dtype=np.float64)
    params["weight_ho"] *= 4
    x = rng.normal(size=(T, B, I))
    y = rng.normal(size=(T, B, O))
    if name == "cross_entropy":
        y = rng.integers(0, O, (T, B))
    elif "cross" in name:
        y = rng.dirichlet(np.ones(O), (T, B))
    more = {"v": rng.uniform(0.2, 2, (T, B, O))} if name == "gaussian_nll" else {}
    return params, x, y, more


@pytest.mark.parametrize("form", FORMS)
def test_it_is_that_of_pytorch(form, tmp_path):
    of_step = of_torch(name := form.partition("+")[0])
    import torch

    module = quick.build(CELL, registry.loss(form), tmp_path)
    params, x, y, more = drawn(module, name)
    weight = np.random.default_rng(7).uniform(0.5, 2, (T, B))
    weight[2, 1] = weight[0, 3] = 0
    given = {**more, **({"weight": weight} if "weighted" in form else {})}
    for lengths in (None, LENGTHS):
        there = np.arange(T)[:, None] < np.asarray([T] * B if lengths is None else lengths)
        counts = there * (weight if "weighted" in form else 1.0)
        total = counts.sum() if "mean" in form else 1.0
        out, _, tape = module.forward(x, params, lengths=lengths)
        leaf = torch.tensor(out, requires_grad=True)
        steps = of_step(leaf, torch.tensor(y), **{n: torch.tensor(a) for n, a in more.items()})
        expected = (steps * torch.tensor(counts)).sum() / total
        expected.backward()
        grads = module.backward(tape, leaf.grad.numpy())
        for options in ({}, {"threads": 2}, {"tape": "recompute"}, {"tape": 2}):
            found, own = module.loss_and_grad(x, y, params, lengths=lengths, **options, **given)
            assert found == pytest.approx(expected.item(), rel=1e-12)
            for key, array in own.items():
                np.testing.assert_allclose(array, grads[key], rtol=1e-10, atol=1e-12 * np.abs(grads[key]).max())
        plan = module.plan(params, T, B)
        for _ in range(2):
            found, own = plan.loss_and_grad(x, y, lengths=lengths, **given)
            assert found == pytest.approx(expected.item(), rel=1e-12)
            np.testing.assert_allclose(own["weight_hh"], grads["weight_hh"], rtol=1e-10)


@pytest.fixture(scope="module")
def classes(tmp_path_factory):
    return quick.build(CELL, registry.loss("cross_entropy+weighted+mean"), tmp_path_factory.mktemp("classes"))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_logits_of_a_thousand_have_a_loss_and_gradients(classes, dtype):
    params = classes.init_params(input_size=I, hidden_size=H, output_size=O, seed=1, dtype=dtype)
    x = np.random.default_rng(0).normal(size=(T, B, I)).astype(dtype)
    y = np.random.default_rng(0).integers(0, O, (T, B))
    params["bias_o"][:] = np.linspace(-4000, 4000, O)
    loss, grads = classes.loss_and_grad(x, y, params, weight=np.ones((T, B), dtype))
    # The largest logit is so large that its softmax is 1: the loss is its distance from the right one.
    out, _ = classes.infer(x, params)
    right = np.take_along_axis(out, y[..., None], 2)[..., 0].astype(np.float64)
    assert loss == pytest.approx((out.max(-1).astype(np.float64) - right).mean(), rel=1e-6)
    assert loss > 1000 and all(np.isfinite(array).all() for array in grads.values())
    assert grads["bias_o"] == pytest.approx(
        (np.arange(O) == O - 1) * 1.0 - np.bincount(y.ravel(), minlength=O) / y.size, abs=1e-6
    )


def test_a_step_without_weight_may_have_any_target(classes):
    params, x, y, _ = drawn(classes, "cross_entropy")
    weight = np.ones((T, B))
    weight[1, 2] = 0
    right = classes.loss_and_grad(x, y, params, weight=weight)
    y[1, 2] = -100  # what PyTorch ignores
    assert classes.loss_and_grad(x, y, params, weight=weight)[0] == right[0]
    squares = quick.build(rnn, registry.loss("squared_error+weighted"), Path(str(classes.__path__[0])) / "squares")
    params = squares.init_params(input_size=I, hidden_size=H, seed=1, dtype=np.float64)
    target = np.random.default_rng(1).normal(size=(T, B, H))
    target[1, 2] = np.nan
    loss, grads = squares.loss_and_grad(x, target, params, weight=weight)
    assert np.isfinite(loss) and all(np.isfinite(array).all() for array in grads.values())


def test_what_is_wrong_with_targets_is_said(classes):
    params, x, y, _ = drawn(classes, "cross_entropy")
    weight = np.ones((T, B))
    for wrong, words in (
        ({"y": y + 1}, "expected a whole number from 0 to 6, the position of one of 7 units"),
        ({"y": -y - 1}, "expected a whole number from 0 to 6"),
        ({"y": y + 0.5}, "expected a whole number"),
        ({"y": y[:, :2]}, r"y must have shape \(T, B\) = \(5, 4\)"),
        ({"y": np.full((T, B), np.nan)}, r"y\[0, 0\] is nan"),
        ({"weight": weight[:2]}, r"weight must have shape \(T, B\)"),
        ({"weight": 0 * weight}, "the loss is a mean, and the weights of all steps add up to 0"),
    ):
        given = {"y": y, "weight": weight} | wrong
        with pytest.raises(ValueError, match=words):
            classes.loss_and_grad(x, given["y"], params, weight=given["weight"])
        with pytest.raises(ValueError, match=words):
            classes.plan(params, T, B).loss_and_grad(x, given["y"], weight=given["weight"])
    with pytest.raises(TypeError, match=r"missing weight; the loss of rnn_readout reads y, weight"):
        classes.loss_and_grad(x, y, params)
    with pytest.raises(TypeError, match="unexpected keyword argument 'weights'"):
        classes.loss_and_grad(x, y, params, weight=weight, weights=weight)


def test_without_sequences_there_is_no_loss(classes):
    params, x, y, _ = drawn(classes, "cross_entropy")
    loss, grads = classes.loss_and_grad(x[:, :0], y[:, :0], params, weight=np.ones((T, 0)))
    assert loss == 0 and not grads["bias_o"].any()
    loss, _ = classes.plan(params, T, 0).loss_and_grad(x[:, :0], y[:, :0], weight=np.ones((T, 0)))
    assert loss == 0


def test_one_sequence_needs_no_batch_axis(classes):
    params, x, y, _ = drawn(classes, "cross_entropy")
    weight = np.random.default_rng(3).uniform(size=(T, B))
    one, _ = classes.loss_and_grad(x[:, 0], y[:, 0], params, weight=weight[:, 0])
    assert one == classes.loss_and_grad(x[:, :1], y[:, :1], params, weight=weight[:, :1])[0]


def test_weights_of_classes_and_numbers_of_steps_are_arguments_like_others(tmp_path):
    @loss
    def mine(h, y, c, a, l, L):
        l[t] = a[t] * Sum(c[n] * one_hot(y[t], n) * (h[t, n] - position(n)) ** 2, n)
        L[()] = mean(l[t], t)

    module = quick.build(rnn, mine, tmp_path)
    rng = np.random.default_rng(0)
    params = module.init_params(input_size=I, hidden_size=H, seed=1, dtype=np.float64)
    x, y, c, a = rng.normal(size=(T, B, I)), rng.integers(0, H, (T, B)), rng.normal(size=H), rng.normal(size=(T, B))
    out, _ = module.infer(x, params)
    right = np.take_along_axis(out, y[..., None], 2)[..., 0]
    found, _ = module.loss_and_grad(x, y, params, c=c, a=a, lengths=LENGTHS)
    there = np.arange(T)[:, None] < np.asarray(LENGTHS)
    assert found == pytest.approx((there * a * c[y] * (right - y) ** 2).sum() / there.sum(), rel=1e-12)


def test_constants_are_changed_by_name():
    huber = registry.loss("huber")
    assert "2*Abs" not in str(huber.source) and huber.constants == {"delta": 1}
    other = huber.weighted().with_constants(delta=3)
    assert other.name == "huber_weighted" and other.constants == {"delta": 3} and "weight" in other.source.tensors
    with pytest.raises(DeriveError, match="loss huber has no constant alpha; it has delta"):
        huber.with_constants(alpha=3)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda one: one.weighted().weighted(), "it has weights already"),
        (lambda one: one.mean().mean(), "it is a mean already"),
        (lambda one: registry.loss("mean_squared_error").mean(), "it is a mean already"),
        (lambda one: registry.loss("squared_error+averaged"), "there are [+]weighted and [+]mean"),
        (lambda one: registry.loss("square_error"), "did you mean squared_error[?]"),
        (lambda one: registry.loss("readout"), "no loss named 'readout'"),
        (lambda one: registry.head("squared_error"), "no head named 'squared_error': there are readout"),
        (lambda one: registry.with_head(rnn, one), "is a loss, which is given when the cell is built"),
        (lambda one: position(n), "stands outside of a cell"),
    ],
)
def test_a_loss_that_cannot_be_says_why(make, words):
    with pytest.raises(DeriveError, match=words):
        make(registry.loss("squared_error"))


def test_a_name_that_the_interface_uses_is_refused(tmp_path):
    @loss
    def mine(h, y, bias, L):
        L[()] = Sum(Sum(bias[n] * (h[t, n] - y[t, n]) ** 2, n), t)

    with pytest.raises(
        DeriveError, match=r"another use for the name bias that the loss reads \(a parameter of the cell"
    ):
        quick.build(rnn, mine, tmp_path)


def test_numbers_of_units_need_one_axis(tmp_path):
    with pytest.raises(DeriveError, match="names a unit by its number, and C has 3 axes"):
        registry.loss("cross_entropy").of(registry.cell("mlstm").program().tensors["C"])


def test_a_head_reads_the_input_of_the_cell_or_one_of_its_own():
    both = registry.with_head(rnn, "readout_with_input")
    assert both.program().facts.inputs == ("x",) and both.name == "rnn_readout_with_input"

    @head(weight_ho="V")
    def mixed(h, m, V, p):
        p[t, k] = where(m[t] > 0, tanh(Sum(V[k, n] * h[t, n], n)), 0)

    assert registry.with_head(rnn, mixed).program().facts.inputs == ("x", "m")

    @head(weight_ho="V")
    def flat(h, x, V, p):
        p[t, k] = x[t] * Sum(V[k, n] * h[t, n], n)

    with pytest.raises(DeriveError, match=r"flat reads x\[t\], and the x of the cell is x\[t, j\]"):
        registry.with_head(rnn, flat)
