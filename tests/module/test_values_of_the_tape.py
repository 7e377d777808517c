"""Values of a step that are read after `forward`: gates, cell states, and what a cell says to keep."""

import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from derive.errors import DeriveError
from derive.registry.user_file import run_file

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
from tests.campaign import quick  # noqa: E402

CELL = """
    from derive.notation import *

    @cell(states="h c", gates="i f g o", keep="z r")
    def mine(x, h, c, W, U, b, z, i, f, g, o, r):
        for q in (i, f, g, o):
            z[q][t, n] = Sum(W[q][n, j] * x[t, j], j) + Sum(U[q][n, k] * h[t - 1, k], k) + b[q][n]
        i[t, n], f[t, n], o[t, n] = sigmoid(z[i][t, n]), sigmoid(z[f][t, n]), sigmoid(z[o][t, n])
        g[t, n] = tanh(z[g][t, n])
        c[t, n] = f[t, n] * c[t - 1, n] + i[t, n] * g[t, n]
        r[t] = Sum(c[t, n] ** 2, n)
        h[t, n] = o[t, n] * tanh(c[t, n])
"""
T, B, I, H = 7, 4, 3, 5


def cell_of(folder, text=CELL):
    path = folder / "mine.py"
    path.write_text(textwrap.dedent(text))
    return run_file(path, "a cell").mine


@pytest.fixture(scope="module")
def module(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kept")
    return quick.build(cell_of(folder), None, folder / "built")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("lengths", [None, [3, 7, 1, 5], [7, 6, 2, 1]], ids=["whole", "ragged", "sorted"])
def test_they_are_what_the_equations_say(module, lengths, threads, dtype):
    params = module.init_params(I, H, dtype=dtype)
    x = np.random.default_rng(0).normal(size=(T, B, I)).astype(dtype)
    out, _, tape = module.forward(x, params, lengths=lengths, threads=threads)
    assert tape.names == ("z_i", "z_f", "z_g", "z_o", "i", "f", "o", "g", "c", "tanh_c", "r")
    there = np.ones((T, B, 1)) if lengths is None else (np.arange(T)[:, None] < np.asarray(lengths))[..., None]
    near = {"atol": 5e-7 if dtype is np.float32 else 1e-15}
    np.testing.assert_allclose(tape["o"] * np.tanh(tape["c"]), out * there, **near)
    np.testing.assert_allclose(there / (1 + np.exp(-tape["z_f"])), tape["f"], **near)
    rows = slice(2 * H, 3 * H)
    first = there[0] * (x[0] @ params["weight_ih"][rows].T + params["bias"][rows])
    np.testing.assert_allclose(tape["z_g"][0], first, **near)
    np.testing.assert_allclose((tape["c"] ** 2).sum(-1), tape["r"], rtol=1e-5)
    assert tape["c"].dtype == dtype and tape["c"].shape == (T, B, H) and tape["r"].shape == (T, B)
    assert not tape["c"][~there[..., 0].astype(bool)].any()
    tape["c"][...] = 7  # a copy
    assert not (tape["c"] == 7).any()


def test_without_a_batch_axis_and_without_sequences(module):
    params = module.init_params(I, H)
    x = np.ones((T, B, I), np.float32)
    assert module.forward(x[:, 0], params)[2]["c"].shape == (T, H)
    assert module.forward(x[:, :0], params)[2]["c"].shape == (T, 0, H)


def test_what_is_not_there_is_said(module):
    params, x = module.init_params(I, H), np.ones((T, B, I), np.float32)
    with pytest.raises(KeyError, match=r"the tape of mine has no 'tanhc' \(did you mean 'tanh_c'\?\); it has z_i, z_f"):
        module.forward(x, params)[2]["tanhc"]
    for tape in ("recompute", 2):
        with pytest.raises(
            ValueError, match="this tape holds states to begin from again and no c; call forward without"
        ):
            module.forward(x, params, tape=tape)[2]["c"]


def test_a_shipped_cell_shows_its_gates():
    lstm = pytest.importorskip("derive.generated.lstm")
    params = lstm.init_params(I, H)
    _, (_, c), tape = lstm.forward(np.ones((T, B, I), np.float32), params)
    assert {"i", "f", "g", "o", "c"} <= set(tape.names)
    np.testing.assert_array_equal(tape["c"][-1], c)


@pytest.mark.parametrize(
    ("keep", "words"),
    [("W", "keep names W, which is no value of a step"), ("q", "'q' in the decorator is no argument of the function")],
)
def test_what_cannot_be_kept_is_refused(tmp_path, keep, words):
    with pytest.raises(DeriveError, match=words):
        cell_of(tmp_path, CELL.replace('keep="z r"', f'keep="{keep}"'))
