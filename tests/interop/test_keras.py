"""What Keras means by masks, initial states and going backwards: the numbers of its own tests, for all weights alike.

Source: keras/src/layers/rnn/lstm_test.py and gru_test.py, commits 12ada9a and 03313da: kernels of 0.01, recurrent kernels of 0.02,
biases of 0.03, the forget gate's of 1.
"""

import sys
from pathlib import Path

import numpy as np
import pytest

import derive.onnx
from derive import registry

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
from tests.campaign import quick  # noqa: E402

MASKED_LSTM = np.array([[1, 1, 1, 0], [1, 1, 0, 0]])
MASKED_GRU = np.array([[1, 1, 0, 1], [1, 0, 0, 1]])


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    """LSTM and both GRUs, each with a mask."""
    folder = tmp_path_factory.mktemp("keras")
    made = {
        "lstm": registry.cell("lstm"),
        "gru": registry.cell("gru"),  # the reset gate is applied after the product, as Keras has it by default
        "gru_before": derive.onnx.cell("GRU"),
    }
    return {name: quick.build(one.masked(), None, folder / name) for name, one in made.items()}


def params_of(module, inputs, units, bias=0.03, forget=1.0):
    """All weights alike; Keras adds two biases in a GRU that resets after the product."""
    found = module.init_params(inputs, units, dtype=np.float64)
    for name, array in found.items():
        array[...] = 0.01 if "ih" in name and "weight" in name else 0.02 if "weight" in name else bias
    if module._cell._spec.name.startswith("lstm"):
        found["bias"].reshape(4, units)[1] = forget
    elif "bias_hh" in found:
        found["bias_hh"][:] = 0
    return found


def run(module, sequence, units, mask=None, state=None, backwards=False, **biases):
    """Outputs (B, T, units) of sequences (B, T, inputs)."""
    x = np.ascontiguousarray(sequence.swapaxes(0, 1)[:: -1 if backwards else 1])
    mask = np.ones(x.shape[:2]) if mask is None else np.ascontiguousarray(mask.T[:: -1 if backwards else 1] * 1.0)
    out, _ = module.infer(x, params_of(module, x.shape[2], units, **biases), state, mask=mask)
    return out.swapaxes(0, 1)


def numbers(*shape):
    return np.arange(np.prod(shape), dtype=np.float64).reshape(shape)


FIRST = numbers(2, 2)


@pytest.mark.parametrize(
    ("cell", "units", "sequence", "given", "last"),
    [
        ("lstm", 3, (3, 6, 4), {}, [0.6288687, 0.86899155, 0.9460773]),
        ("lstm", 3, (3, 6, 4), {"backwards": True}, [0.35622165, 0.74789524, 0.8872726]),
        ("lstm", 3, (3, 6, 4), {"forget": 0.03}, [0.57019705, 0.8661914, 0.9459622]),
        ("lstm", 3, (3, 6, 4), {"bias": 0.0, "forget": 0.0}, [0.54986924, 0.86226785, 0.9443936]),
        ("lstm", 2, (2, 4, 3), {"state": (FIRST, FIRST)}, [[0.20574439, 0.3558822], [0.64930826, 0.66276]]),
        ("lstm", 2, (2, 4, 3), {"state": (FIRST, FIRST), "backwards": True}, [[0.13281618, 0.2790356], [0.5839337, 0.5992567]]),
        ("lstm", 2, (2, 4, 3), {"mask": MASKED_LSTM}, [0.11755939, 0.28556206]),
        ("lstm", 2, (2, 4, 3), {"mask": MASKED_LSTM[:, ::-1], "backwards": True}, [0.15341201, 0.3844719]),
        ("gru_before", 3, (3, 6, 4), {}, [0.51447755, 0.6426879, 0.40208298]),
        ("gru", 3, (3, 6, 4), {"bias": 0.0}, [0.49988455, 0.64701194, 0.4103359]),
    ],
)  # fmt: skip
def test_the_last_output_is_that_of_keras(cells, cell, units, sequence, given, last):
    out = run(cells[cell], numbers(*sequence), units, **given)
    wanted = np.asarray(last)
    np.testing.assert_allclose(out[:, -1], wanted[:, None] * np.ones(units) if wanted.ndim == 1 else wanted, atol=1e-6)


def test_a_masked_step_repeats_what_was_there(cells):
    """In the middle too; the GRU has the biases of Keras, which adds one inside of the reset gate."""
    out = run(cells["lstm"], numbers(2, 4, 3), 2, mask=MASKED_LSTM)[..., 0]
    np.testing.assert_allclose(out[0], [0.01588910, 0.05552048, 0.11755939, 0.11755939], atol=1e-6)
    np.testing.assert_allclose(out[1], [0.14185596, 0.28556206, 0.28556206, 0.28556206], atol=1e-6)


def test_the_gru_that_resets_after_the_product_has_both_biases(cells, tmp_path):
    module = quick.build(derive.onnx.cell("GRU", linear_before_reset=True).masked(), None, tmp_path)
    params = params_of(module, 4, 3)
    params["bias_ih"][:] = params["bias_hh"][:] = 0.03
    x = np.ascontiguousarray(numbers(3, 6, 4).swapaxes(0, 1))
    for step, wanted in ((1, [0.5217289, 0.6371659, 0.39384964]), (-1, [0.24406259, 0.611516, 0.3928808])):
        out, _ = module.infer(np.ascontiguousarray(x[::step]), params, mask=np.ones((6, 3)))
        np.testing.assert_allclose(out[-1], np.array(wanted)[:, None] * np.ones(3), atol=1e-6)
    params = params_of(module, 3, 2)
    params["bias_ih"][:] = params["bias_hh"][:] = 0.03
    x, mask = np.ascontiguousarray(numbers(2, 4, 3).swapaxes(0, 1)), np.ascontiguousarray(MASKED_GRU.T * 1.0)
    out, _ = module.infer(x, params, mask=mask)
    np.testing.assert_allclose(out[:, 0, 0], [0.03606692, 0.09497581, 0.09497581, 0.19393763], atol=1e-6)
    np.testing.assert_allclose(out[:, 1, 0], [0.16051409, 0.16051409, 0.16051409, 0.30818558], atol=1e-6)
    back, _ = module.infer(np.ascontiguousarray(x[::-1]), params, mask=np.ascontiguousarray(mask[::-1]))
    np.testing.assert_allclose(back[-1, :, 0], [0.11669192, 0.28380975], atol=1e-6)
