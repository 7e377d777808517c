"""`Cell.masked`: a step that the mask leaves out keeps every state, and the others do not know of it."""

import sys
from pathlib import Path

import numpy as np
import pytest

from derive import registry
from derive.errors import DeriveError
from derive.verify import validate

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
from tests.campaign import quick  # noqa: E402

I, H = 3, 5
MASK = np.array([[1, 0, 1, 1, 0, 0, 1.0]]).T


@pytest.mark.parametrize("name", ["lstm", "gru", "lstm_readout", "lem"])
def test_steps_that_are_left_out_are_as_if_they_were_not_there(name, tmp_path):
    cell = registry.cell(name)
    masked, plain = quick.build(cell.masked(), None, tmp_path / "m"), quick.build(cell, None, tmp_path / "p")
    assert validate(masked, cell.masked(), None) == []
    sizes = [I, H, 4, 2][: len(plain._cell._spec.dims)]
    params = plain.init_params(*sizes, dtype=np.float64)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(7, 1, I))
    kept = np.ascontiguousarray(x[MASK[:, 0] > 0])
    out, final = masked.infer(x, params, **{"mask": MASK})
    right, last = plain.infer(kept, params)
    np.testing.assert_array_equal(out[MASK[:, 0] > 0], right)
    assert all((a == b).all() for a, b in zip(final, last, strict=True))
    d_state = tuple(rng.normal(size=a.shape) for a in final)
    _, _, tape = masked.forward(x, params, mask=MASK)
    grads = masked.backward(tape, None, d_state)
    _, _, tape = plain.forward(kept, params)
    expected = plain.backward(tape, None, d_state)
    for key, array in expected.items():
        np.testing.assert_allclose(
            grads[key][MASK[:, 0] > 0] if key == "x" else grads[key], array, rtol=1e-12, atol=1e-14
        )
    assert not grads["x"][MASK[:, 0] == 0].any() and not grads["mask"].any()


def test_the_name_of_the_mask_is_free():
    lstm = registry.cell("lstm")
    assert lstm.masked("keep", title="kept").name == "kept"
    with pytest.raises(DeriveError, match=r'c has a meaning already; give the mask another name, masked\("keep"\)'):
        lstm.masked("c")
    with pytest.raises(DeriveError, match="has a meaning already"):
        lstm.masked().masked()
    assert registry.cell("lmu_legendre").masked().with_constants(theta=7).constants == {"theta": 7}
