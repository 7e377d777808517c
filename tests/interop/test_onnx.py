"""The recurrent operators of ONNX: the cases of its own wheel, and onnxruntime over the attributes."""

import sys
from pathlib import Path

import numpy as np
import pytest

import derive.onnx
from derive.errors import DeriveError

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
from tests.campaign import quick  # noqa: E402

INPUTS = ("X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P")
T, B, I, H = 5, 3, 4, 6


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    """Modules of cells, those with the same equations once."""
    made = {}

    def module(cell):
        text = str(cell.source.dump())
        if text not in made:
            made[text] = quick.build(cell, None, tmp_path_factory.mktemp("onnx") / "built")
        return made[text]

    return module


def wheel_cases():
    """Name, operator, attributes, inputs by position and outputs by name of the cases of the wheel."""
    onnx = pytest.importorskip("onnx", reason="the cases of the operators are in the onnx wheel: pip install onnx")
    from onnx.backend.test.case.node import collect_testcases

    def plain(value):
        if isinstance(value, bytes):
            return value.decode()
        return [plain(one) for one in value] if isinstance(value, (list, tuple)) else value

    found = []
    with np.errstate(all="ignore"):
        cases = collect_testcases(None)
    for case in cases:
        nodes = list(case.model.graph.node) if case.model else []
        if len(nodes) == 1 and nodes[0].op_type in ("RNN", "GRU", "LSTM"):
            (node,) = nodes
            attributes = {a.name: plain(onnx.helper.get_attribute_value(a)) for a in node.attribute}
            for given, wanted in case.data_sets:
                inputs, outputs = iter(given), iter(wanted)
                found.append((
                    case.name,
                    node.op_type,
                    attributes,
                    [next(inputs) if name else None for name in node.input],
                    [next(outputs) if name else None for name in node.output],
                ))  # fmt: skip
    return found


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_the_cases_of_the_wheel(build):
    cases = wheel_cases()
    assert len({name for name, *_ in cases}) >= 18
    for name, op, attributes, inputs, outputs in cases:
        found = derive.onnx.run(op, *inputs, **attributes, build=build)
        for own, wanted in zip(found, outputs, strict=False):
            if wanted is not None:
                assert own.shape == wanted.shape, name
                np.testing.assert_allclose(own, wanted, rtol=1e-5, atol=1e-6, err_msg=name)


def of_runtime(op, inputs, attributes):
    """The outputs of onnxruntime."""
    onnx = pytest.importorskip("onnx", reason="models for onnxruntime are made by onnx: pip install onnx onnxruntime")
    runtime = pytest.importorskip("onnxruntime", reason="the oracle of the attributes: pip install onnxruntime")
    helper, kinds = onnx.helper, onnx.TensorProto
    names = [name if value is not None else "" for name, value in zip(INPUTS, inputs, strict=False)]
    while not names[-1]:
        names.pop()
    outputs = ["Y", "Y_h", *(["Y_c"] if op == "LSTM" else [])]
    node = helper.make_node(op, names, outputs, hidden_size=H, **attributes)
    typed = [(n, kinds.INT32 if n == "sequence_lens" else kinds.FLOAT) for n in names if n]
    graph = helper.make_graph(
        [node],
        "one",
        [helper.make_tensor_value_info(n, kind, None) for n, kind in typed],
        [helper.make_tensor_value_info(n, kinds.FLOAT, None) for n in outputs],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)])
    model.ir_version = 8
    session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {n: v for n, v in zip(INPUTS, inputs, strict=False) if v is not None})


# Operator, attributes, and which inputs there are beside X, W and R: bias, state, lengths, peepholes.
CASES = [
    ("LSTM", {}, "bs"),
    ("LSTM", {"clip": 0.7}, "bsp"),
    ("LSTM", {"input_forget": 1}, "bsp"),
    ("LSTM", {"input_forget": 1}, ""),
    ("LSTM", {"direction": "bidirectional"}, "bslp"),
    ("LSTM", {"direction": "reverse"}, "bsl"),
    (
        "LSTM",
        {"activations": ["HardSigmoid", "ScaledTanh", "Softsign"], "activation_alpha": [0.3, 1.2], "activation_beta": [0.4, 0.8]},
        "bs",
    ),
    ("LSTM", {"activations": ["Sigmoid", "Affine", "Relu"], "activation_alpha": [1.2], "activation_beta": [0.3]}, "b"),
    (
        "LSTM",
        {
            "direction": "bidirectional",
            "activations": ["HardSigmoid", "Tanh", "Elu", "Sigmoid", "LeakyRelu", "Tanh"],
            "activation_alpha": [0.3, 1.5, 0.2],
            "activation_beta": [0.4],
        },
        "b",
    ),
    ("GRU", {}, "bs"),
    ("GRU", {"linear_before_reset": 1}, "bs"),
    ("GRU", {"linear_before_reset": 1, "clip": 0.5}, "bs"),
    ("GRU", {"clip": 0.5}, "bs"),
    ("GRU", {"direction": "bidirectional", "linear_before_reset": 1}, "bsl"),
    ("GRU", {"activations": ["HardSigmoid", "Softplus"]}, "b"),
    ("GRU", {"activations": ["Sigmoid", "ThresholdedRelu"], "activation_alpha": [0.5]}, "b"),
    ("RNN", {"activations": ["Relu"]}, "bs"),
    (
        "RNN",
        {
            "activations": ["Affine", "ScaledTanh"],
            "activation_alpha": [0.1, 0.6],
            "activation_beta": [0.1, 0.7],
            "direction": "bidirectional",
        },
        "bsl",
    ),
    ("RNN", {"clip": 0.5}, "bs"),
    ("RNN", {"activations": ["Softsign"], "direction": "reverse"}, "bsl"),
    ("RNN", {"activations": ["LeakyRelu"]}, "b"),
    ("RNN", {"activations": ["Elu"]}, "b"),
    ("RNN", {"activations": ["HardSigmoid"]}, "b"),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(CASES)))
def test_the_attributes_are_those_of_onnxruntime(build, number):
    op, attributes, there = CASES[number]
    rng = np.random.default_rng(number)
    count = {"RNN": 1, "GRU": 3, "LSTM": 4}[op]
    passes = 2 if attributes.get("direction") == "bidirectional" else 1

    def some(*shape):
        return (rng.normal(size=shape) / 2).astype(np.float32)

    inputs = [some(T, B, I), some(passes, count * H, I), some(passes, count * H, H)]
    inputs.append(some(passes, 2 * count * H) if "b" in there else None)
    inputs.append(np.array([3, 5, 2], np.int32) if "l" in there else None)
    inputs.append(some(passes, B, H) if "s" in there else None)
    if op == "LSTM":
        inputs += [some(passes, B, H) if "s" in there else None, some(passes, 3 * H) if "p" in there else None]
    wanted = of_runtime(op, inputs, attributes)
    found = derive.onnx.run(op, *inputs, **attributes, hidden_size=H, build=build)
    for own, theirs in zip(found, wanted, strict=True):
        assert own.shape == theirs.shape
        np.testing.assert_allclose(own, theirs, rtol=2e-5, atol=2e-6 * np.abs(theirs).max())


def test_the_batch_may_come_first(build):
    rng = np.random.default_rng(0)
    x, w, r = rng.normal(size=(T, B, I)), rng.normal(size=(2, 4 * H, I)), rng.normal(size=(2, 4 * H, H))
    h, c = rng.normal(size=(2, B, H)), rng.normal(size=(2, B, H))
    given = {"direction": "bidirectional", "build": build}
    y, y_h, y_c = derive.onnx.run("LSTM", x, w, r, None, None, h, c, **given)
    turned = [a.swapaxes(0, 1) for a in (x, h, c)]
    other = derive.onnx.run("LSTM", turned[0], w, r, None, None, turned[1], turned[2], layout=1, **given)
    assert y.shape == (T, 2, B, H) and other[0].shape == (B, T, 2, H) and other[1].shape == (B, 2, H)
    np.testing.assert_array_equal(other[0], y.transpose(2, 0, 1, 3))
    np.testing.assert_array_equal(other[1].swapaxes(0, 1), y_h)
    np.testing.assert_array_equal(other[2].swapaxes(0, 1), y_c)


X, W, R = np.zeros((T, B, I)), np.zeros((1, 4 * H, I)), np.zeros((1, 4 * H, H))
WRONG = [
    (lambda: derive.onnx.cell("LTSM"), "ONNX has no recurrent operator 'LTSM'; there are RNN, GRU, LSTM"),
    (lambda: derive.onnx.cell("GRU", ["Sigmoid"]), "GRU: 2 activations for a direction, found Sigmoid"),
    (lambda: derive.onnx.cell("RNN", ["Gelu"]), "RNN: no activation 'Gelu'; there are Relu, Tanh"),
    (lambda: derive.onnx.cell("RNN", ["Affine"]), "Affine has alpha and beta, and ONNX no defaults"),
    (lambda: derive.onnx.cell("RNN", clip=0.0), "RNN: clip is 0.0; it is a bound above 0"),
    (lambda: derive.onnx.cell("GRU", peepholes=True), "GRU has no peepholes; the LSTM has"),
    (lambda: derive.onnx.cell("LSTM", linear_before_reset=True), "LSTM has no linear_before_reset; the GRU has"),
    (lambda: derive.onnx.run("LSTM", X, W, R, direction="back"), "direction is 'back'; there are forward, reverse"),
    (lambda: derive.onnx.run("LSTM", X, W, R, layout=2), "layout is 2; it is 0, time first, or 1"),
    (lambda: derive.onnx.run("LSTM", X, W, R, direction="bidirectional"), "W has 1 directions and R 6 units"),
    (lambda: derive.onnx.run("LSTM", X, W, R, hidden_size=5), "hidden_size is 5"),
]


@pytest.mark.parametrize("number", range(len(WRONG)))
def test_what_the_operator_does_not_take_is_said(number):
    call, words = WRONG[number]
    with pytest.raises(DeriveError, match=words):
        call()


def test_a_cell_of_an_operator_has_gradients(build):
    module = build(derive.onnx.cell("LSTM", clip=0.7, peepholes=True))
    params = module.init_params(input_size=I, hidden_size=H, dtype=np.float64)
    loss, grads = module.loss_and_grad(np.ones((T, B, I)), np.zeros((T, B, H)), params)
    assert set(grads) >= {"weight_ih", "bias_hh", "peephole_i", "peephole_o", "peephole_f"} and loss > 0
