"""Layers and directions against PyTorch's nn.LSTM and nn.RNN; streaming, masks, heads, truncated backpropagation."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

import derive
from derive import registry
from derive.losses.joined import joined

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
from tests.campaign import quick  # noqa: E402

T, B, I, H, O = 6, 4, 3, 5, 7
LENGTHS = [3, 6, 1, 4]


def load(cell):
    return pytest.importorskip(f"derive.generated.{cell}")


@pytest.fixture(scope="module")
def both_of(tmp_path_factory):
    """The module of a loss, and of a head, on both directions."""
    made = {}

    def build(head=None, loss=None):
        if (head, loss) not in made:
            folder = tmp_path_factory.mktemp("both") / "made"
            judged = registry.loss(loss) if loss else None
            made[head, loss] = quick.build(registry.with_head(joined, head), judged, folder)
        return made[head, loss]

    return build


def torch_net(kind, layers, bidirectional, params, **options):
    torch = pytest.importorskip("torch", reason="layers are compared with PyTorch's")
    net = {"lstm": torch.nn.LSTM, "rnn": torch.nn.RNN}[kind](
        I, H, layers, bidirectional=bidirectional, **options
    ).double()
    with torch.no_grad():
        for name, tensor in net.named_parameters():
            if name.startswith("bias_hh"):
                tensor.zero_()
            else:
                tensor.copy_(torch.from_numpy(params[name.replace("bias_ih", "bias")]))
    return net


def compare(kind, made, layers, bidirectional, lengths, state):
    torch = pytest.importorskip("torch", reason="layers are compared with PyTorch's")
    rng = np.random.default_rng(layers)
    params = made.init_params(I, H, dtype=np.float64, seed=2)
    net = torch_net(kind, layers, bidirectional, params)
    many = layers * (2 if bidirectional else 1)
    x = rng.normal(size=(T, B, I))
    first = tuple(rng.normal(size=(many, B, H)) for _ in made.STATES) if state else None
    d_final = tuple(rng.normal(size=(many, B, H)) for _ in made.STATES)
    leaf = torch.tensor(x, requires_grad=True)
    given = [torch.tensor(s if state else np.zeros((many, B, H)), requires_grad=True) for s in first or made.STATES]
    hidden = tuple(given) if kind == "lstm" else given[0]
    if lengths is None:
        found, last = net(leaf, hidden)
    else:
        pack = torch.nn.utils.rnn.pack_padded_sequence(leaf, torch.tensor(lengths), enforce_sorted=False)
        found, last = net(pack, hidden)
        found, _ = torch.nn.utils.rnn.pad_packed_sequence(found)
    there = np.ones((T, B, 1)) if lengths is None else (np.arange(T)[:, None] < np.asarray(lengths))[..., None]
    last = last if kind == "lstm" else (last,)
    out, final = made.infer(x, params, first, lengths=lengths)
    np.testing.assert_allclose(out * there, found.detach().numpy() * there, atol=1e-13)
    for own, theirs in zip(final, last, strict=True):
        np.testing.assert_allclose(own, theirs.detach(), atol=1e-13)
    d_out = rng.normal(size=out.shape)
    objective = (found * torch.tensor(d_out * there)).sum()
    objective = objective + sum((a * torch.tensor(d)).sum() for a, d in zip(last, d_final, strict=True))
    objective.backward()
    expected = {"x": leaf.grad, **{f"{s}0": g.grad for s, g in zip(made.STATES, given, strict=True)}}
    expected |= {n.replace("bias_ih", "bias"): p.grad for n, p in net.named_parameters() if "bias_hh" not in n}
    for tape in (None, "recompute", 2):
        own, _, kept = made.forward(x, params, first, lengths=lengths, tape=tape)
        np.testing.assert_array_equal(own, out)
        for _ in range(2):
            grads = made.backward(kept, d_out, d_final)
            assert set(grads) == set(expected)
            for name, array in grads.items():
                np.testing.assert_allclose(array, expected[name], atol=1e-11, err_msg=name)


@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["whole", "ragged"])
@pytest.mark.parametrize("bidirectional", [False, True], ids=["one", "both"])
@pytest.mark.parametrize(("kind", "layers"), [("lstm", 1), ("lstm", 2), ("rnn", 3)])
def test_they_are_those_of_pytorch(kind, layers, bidirectional, lengths):
    made = derive.layers(load(kind), layers, bidirectional)
    compare(kind, made, layers, bidirectional, lengths, state=layers != 1)


@pytest.mark.parametrize("bidirectional", [False, True], ids=["one", "both"])
def test_batch_first_and_one_sequence_are_the_same_numbers(bidirectional, both_of):
    top = both_of() if bidirectional else None
    made = derive.layers(load("lstm"), 2, bidirectional, top=top)
    other = derive.layers(load("lstm"), 2, bidirectional, batch_first=True, top=top)
    params = made.init_params(I, H, seed=1)
    x = np.random.default_rng(0).normal(size=(T, B, I)).astype(np.float32)
    out, state = made.infer(x, params)
    turned, same = other.infer(np.ascontiguousarray(x.swapaxes(0, 1)), params)
    np.testing.assert_array_equal(turned.swapaxes(0, 1), out)
    assert all((a == b).all() for a, b in zip(state, same, strict=True))
    y = np.zeros_like(out)
    loss, grads = made.loss_and_grad(x, y, params)
    again, found = other.loss_and_grad(x.swapaxes(0, 1), y.swapaxes(0, 1), params)
    assert loss == again
    np.testing.assert_array_equal(found["x"].swapaxes(0, 1), grads["x"])
    _, _, tape = other.forward(x.swapaxes(0, 1), params)
    _, _, kept = made.forward(x, params)
    if top is None:
        right = made.backward(kept, 2 * out)
        np.testing.assert_array_equal(other.backward(tape, 2 * turned)["weight_hh_l0"], right["weight_hh_l0"])
    one, last = made.infer(x[:, 1], params)
    np.testing.assert_allclose(one, out[:, 1], atol=1e-6)
    assert last[0].shape == (len(state[0]), H)
    _, grads = made.loss_and_grad(x[:, 1], y[:, 1], params)
    assert grads["x"].shape == (T, I) and grads["h0"].shape == (len(state[0]), H)


@pytest.mark.parametrize("bidirectional", [False, True], ids=["one", "both"])
def test_masks_stand_between_layers(bidirectional):
    torch = pytest.importorskip("torch", reason="layers are compared with PyTorch's")
    made = derive.layers(load("lstm"), 2, bidirectional)
    params = made.init_params(I, H, dtype=np.float64)
    rng = np.random.default_rng(3)
    x, width = rng.normal(size=(T, B, I)), H * (1 + bidirectional)
    mask = rng.integers(0, 2, (T, B, width)) * 2.0
    lower, upper = (torch.nn.LSTM(n, H, bidirectional=bidirectional).double() for n in (I, width))
    with torch.no_grad():
        for number, net in enumerate((lower, upper)):
            for name, tensor in net.named_parameters():
                own = name.replace("_l0", f"_l{number}").replace("bias_ih", "bias")
                tensor.zero_() if name.startswith("bias_hh") else tensor.copy_(torch.from_numpy(params[own]))
    leaf = torch.tensor(x, requires_grad=True)
    found, _ = upper(lower(leaf)[0] * torch.tensor(mask))
    d_out = rng.normal(size=found.shape)
    (found * torch.tensor(d_out)).sum().backward()
    out, _, tape = made.forward(x, params, masks=[mask])
    np.testing.assert_allclose(out, found.detach(), atol=1e-13)
    grads = made.backward(tape, d_out)
    np.testing.assert_allclose(grads["x"], leaf.grad, atol=1e-12)
    np.testing.assert_allclose(grads["weight_ih_l0"], lower.weight_ih_l0.grad, atol=1e-12)
    np.testing.assert_array_equal(made.infer(x, params, masks=[mask])[0], out)


@pytest.mark.parametrize("bidirectional", [False, True], ids=["one", "both"])
def test_a_head_and_a_loss_stand_on_the_last_layer(bidirectional, both_of, tmp_path):
    torch = pytest.importorskip("torch", reason="layers are compared with PyTorch's")
    loss = "cross_entropy+weighted+mean"
    if bidirectional:
        top = both_of("readout", loss)
    else:
        top = quick.build(registry.with_head(registry.cell("lstm"), "readout"), registry.loss(loss), tmp_path)
    made = derive.layers(load("lstm"), 2, bidirectional, top=top)
    params = made.init_params(I, H, output_size=O, dtype=np.float64)
    assert {n: a.shape for n, a in params.items() if "_o" in n or "ho" in n} == {
        "weight_ho": (O, H * (1 + bidirectional)), "bias_o": (O,)
    }  # fmt: skip
    assert list(params) == list(made.PARAMS)
    rng = np.random.default_rng(5)
    x, y, weight = rng.normal(size=(T, B, I)), rng.integers(0, O, (T, B)), rng.uniform(0.5, 1, (T, B))
    net = torch_net("lstm", 2, bidirectional, params)
    v, d = (torch.tensor(params[n], requires_grad=True) for n in ("weight_ho", "bias_o"))
    for lengths in (None, LENGTHS):
        net.zero_grad()
        v.grad = d.grad = None
        leaf = torch.tensor(x, requires_grad=True)
        if lengths is None:
            found, _ = net(leaf)
        else:
            pack = torch.nn.utils.rnn.pack_padded_sequence(leaf, torch.tensor(lengths), enforce_sorted=False)
            found, _ = torch.nn.utils.rnn.pad_packed_sequence(net(pack)[0])
        there = weight * (np.arange(T)[:, None] < np.asarray([T] * B if lengths is None else lengths))
        steps = torch.nn.functional.cross_entropy(
            (found @ v.T + d).reshape(-1, O), torch.tensor(y).reshape(-1), reduction="none"
        ).reshape(T, B)
        expected = (steps * torch.tensor(there)).sum() / there.sum()
        expected.backward()
        own, grads = made.loss_and_grad(x, y, params, lengths=lengths, weight=weight)
        assert own == pytest.approx(expected.item(), rel=1e-12)
        np.testing.assert_allclose(grads["x"], leaf.grad, atol=1e-12)
        np.testing.assert_allclose(grads["weight_ho"], v.grad, atol=1e-12)
        for name, tensor in net.named_parameters():
            if "bias_hh" not in name:
                np.testing.assert_allclose(grads[name.replace("bias_ih", "bias")], tensor.grad, atol=1e-12)
        out, _, tape = made.forward(x, params, lengths=lengths)
        assert out.shape == (T, B, O)
        assert set(made.backward(tape, np.ones_like(out))) == set(grads)


def test_a_stream_has_the_bits_of_one_call():
    made = derive.layers(load("lstm"), 3)
    params = made.init_params(I, H)
    x = np.random.default_rng(0).normal(size=(T, I)).astype(np.float32)
    whole, last = made.infer(x, params)
    plan, state, before = made.plan(params, 1), None, None
    for step in range(T):
        out, state = plan.infer(x[step : step + 1], state)
        np.testing.assert_array_equal(out[0], whole[step])
        alone, _ = made.infer(x[step : step + 1], params, before)
        np.testing.assert_array_equal(alone, out)
        before = tuple(a.copy() for a in state)
    assert all((a == b).all() for a, b in zip(state, last, strict=True))
    assert plan.nbytes > 0
    params["weight_ih_l2"] *= 2
    plan.update(params)
    np.testing.assert_array_equal(plan.infer(x[:1])[0], made.infer(x[:1], params)[0])


def test_a_plan_of_both_directions_gives_the_same_bits(both_of):
    made = derive.layers(load("lstm"), 2, True, top=both_of("readout", "cross_entropy+weighted+mean"))
    params = made.init_params(I, H, output_size=O)
    x = np.random.default_rng(0).normal(size=(T, B, I)).astype(np.float32)
    np.testing.assert_array_equal(made.plan(params, T, B).infer(x)[0], made.infer(x, params)[0])


def test_truncated_backpropagation_is_that_of_stretches():
    module = load("lstm")
    for made, shape in ((module, (B, H)), (derive.layers(module, 2), (2, B, H))):
        params = made.init_params(I, H, dtype=np.float64)
        rng = np.random.default_rng(1)
        x, y = rng.normal(size=(11, B, I)), rng.normal(size=(11, B, H))
        state, firsts = tuple(rng.normal(size=shape) for _ in "hc"), list(range(0, 11, 4))
        count = 0
        for (loss, grads, entered), first in zip(derive.truncated(made, x, y, params, 4, state), firsts, strict=True):
            part = slice(first, first + 4)
            expected, right = made.loss_and_grad(x[part], y[part], params, state)
            assert loss == expected and all((grads[n] == right[n]).all() for n in right)
            assert all((a == b).all() for a, b in zip(entered, state, strict=True))
            _, state = made.infer(x[part], params, state)
            count += 1
        assert count == 3


WRONG = [
    (lambda m, p, x, y: derive.layers(m, 0), ValueError, "layers must be an integer of at least 1, found 0"),
    (lambda m, p, x, y: derive.layers(m, True), ValueError, "found True"),
    (lambda m, p, x, y: derive.layers("lstm"), TypeError, "takes a compiled module"),
    (lambda m, p, x, y: derive.layers(m, 2).infer(x, {}), ValueError, "params lacks weight_ih_l0, weight_hh_l0"),
    (lambda m, p, x, y: derive.layers(m, 1).infer(x, p), ValueError, "params has weight_ih_l1"),
    (
        lambda m, p, x, y: derive.layers(m, 2).infer(x, p, np.zeros((2, B, H))),
        TypeError,
        "state must be None or a tuple",
    ),
    (
        lambda m, p, x, y: derive.layers(m, 2).infer(x, p, (np.zeros((3, B, H)), None)),
        ValueError,
        r"state \(h\) must have the first axis 2, layers times directions, found \(3, 4, 5\)",
    ),
    (lambda m, p, x, y: derive.layers(m, 2).infer(x, p, masks=[]), TypeError, "masks must be a list of 1 arrays"),
    (
        lambda m, p, x, y: derive.layers(m, 2).infer(x, p, masks=[x]),
        ValueError,
        r"masks\[0\] must be like what the layer",
    ),
    (lambda m, p, x, y: derive.layers(m, 2).infer(x[0, 0], p), ValueError, r"x must be \(T, B, I\) or \(T, I\)"),
    (lambda m, p, x, y: derive.layers(m, 2).infer(x.tolist(), p), TypeError, "x must be a NumPy array, found list"),
    (
        lambda m, p, x, y: derive.layers(m, 2, batch_first=True).infer(x[0], p),
        ValueError,
        r"with batch_first x is \(B, T, I\)",
    ),
    (lambda m, p, x, y: derive.layers(m, 2).backward(3, x), TypeError, "tape must be the third result"),
    (
        lambda m, p, x, y: derive.layers(m, 2).backward(derive.layers(m, 2).forward(x, p)[2], y),
        TypeError,
        "tape must be the third result of this object's forward",
    ),
    (
        lambda m, p, x, y: derive.layers(m, 1, True).loss_and_grad(x, y, derive.layers(m, 1, True).init_params(I, H)),
        ValueError,
        "a loss of both directions reads them side by side; build the layers with derive.build",
    ),
    (lambda m, p, x, y: list(derive.truncated(m, x, y, p, 0)), ValueError, "steps must be an integer of at least 1"),
    (lambda m, p, x, y: derive.layers(m, 2).infer(x, p, lengths=[9] * B), ValueError, "lengths"),
]


WRONG += [
    (
        lambda m, p, x, y: derive.layers(m, 2).loss_and_grad(x, y, p, wrt="params"),
        TypeError,
        "unexpected keyword argument 'wrt'; the loss reads y alone",
    ),
    (
        lambda m, p, x, y: derive.layers(m, 2, top=load("rnn")),
        ValueError,
        "top is the last layer, lstm with a head or a loss",
    ),
    (
        lambda m, p, x, y: derive.truncated(derive.layers(m, 1, True), x, y, p, 2),
        ValueError,
        "a second direction begins at the end of the series",
    ),
    (lambda m, p, x, y: derive.truncated(m, x, y, p, 2, lengths=[T] * B), ValueError, "a series has one length"),
    (lambda m, p, x, y: derive.truncated(m, x.tolist(), y, p, 2), TypeError, "x must be a NumPy array"),
]


@pytest.mark.parametrize("number", range(len(WRONG)))
def test_what_is_wrong_is_said(number):
    module = load("lstm")
    params = derive.layers(module, 2).init_params(I, H)
    x, y = np.zeros((T, B, I), np.float32), np.zeros((T, B, H), np.float32)
    call, kind, words = WRONG[number]
    with pytest.raises(kind, match=words):
        call(module, params, x, y)


def test_cells_that_make_no_layers_say_why(tmp_path):
    mlstm = quick.build(registry.cell("augru"), None, tmp_path)
    with pytest.raises(ValueError, match="augru reads the inputs x, a; layers are of cells with one input"):
        derive.layers(mlstm, 2)
    with pytest.raises(derive.DeriveError, match="sizes= fixes sizes at compile time"):
        derive.build(registry.cell("rnn"), layers=2, sizes={"H": 3})


def test_layers_need_no_compiler_and_no_sympy():
    load("lstm")
    import subprocess

    code = "import sys, derive; from derive.generated import lstm; m = derive.layers(lstm, 2); m.init_params(3, 4); "
    code += "assert 'sympy' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_build_gives_layers():
    module = importlib.import_module("derive.building")
    made = module.build(registry.cell("rnn"), layers=2, bidirectional=True, head="readout", loss="cross_entropy")
    assert "weight_hh_l1_reverse" in made.PARAMS and made.PARAMS["weight_ho"] == ("O", "2*H")
    assert repr(made) == "<Layers of rnn: 2, both directions>"


def test_a_cell_with_as_many_inputs_as_units_is_stacked_with_one_size(tmp_path):
    module = quick.build(registry.cell("sru"), None, tmp_path)
    made = derive.layers(module, 2)
    with pytest.raises(
        ValueError, match="sru reads as many numbers as it has units; input_size is 3 and hidden_size 5"
    ):
        made.init_params(3, 5)
    params = made.init_params(5, 5)
    assert made.infer(np.ones((T, B, 5), np.float32), params)[0].shape == (T, B, 5)
    with pytest.raises(ValueError, match="both directions give twice as many"):
        derive.layers(module, 2, True)


def test_stretches_cut_what_has_steps_and_nothing_else(tmp_path):
    """With as many sequences and units as steps, and the batch first."""
    module = quick.build(registry.cell("rnn"), registry.loss("squared_error+weighted+mean"), tmp_path)
    rng, size = np.random.default_rng(0), 6
    x, y = rng.normal(size=(size, size, I)), rng.normal(size=(size, size, size))
    weight, mask = rng.uniform(0.5, 1, (size, size)), rng.integers(0, 2, (size, size, size)) * 2.0
    for first in (False, True):
        made = derive.layers(module, 2, batch_first=first, top=module)
        params = made.init_params(I, size, dtype=np.float64)
        state = None
        for number, (loss, _, _) in enumerate(derive.truncated(made, x, y, params, 4, weight=weight, masks=[mask])):
            part = (slice(None),) * first + (slice(4 * number, 4 * number + 4),)
            given = {"weight": weight[part], "masks": [mask[part]]}
            assert loss == made.loss_and_grad(x[part], y[part], params, state, **given)[0]
            _, state = made.infer(x[part], params, state, masks=[mask[part]])
        assert number == 1
