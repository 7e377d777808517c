"""Problems for any generated cell, and comparisons."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
CELLS = sorted(path.parent.name for path in (ROOT / "generated").glob("*/manifest.json"))


def load(name):
    return importlib.import_module(f"derive.generated.{name}")


def sizes(module, inputs=3, units=5):
    """The sizes of all dimensions: I, H, and other numbers for the rest."""
    return {dim: {"I": inputs, "H": units}.get(dim, units + k) for k, dim in enumerate(module.SPEC["dims"])}


class Problem:
    """x, y, params, state, d_out and d_state of a cell, drawn from a seed."""

    def __init__(self, module, steps, batch, dtype=np.float64, seed=0, **kwargs):
        spec, self.module = module.SPEC, module
        self.dims = sizes(module, **kwargs)
        rng = np.random.default_rng(seed)

        def normal(*shape):
            return rng.normal(size=shape).astype(dtype)

        lead = (steps,) if batch is None else (steps, batch)
        rows = lead[1:]
        self.keywords = {spec["dims"][dim]: size for dim, size in self.dims.items()}
        self.params = module.init_params(**self.keywords, dtype=dtype, seed=seed)
        self.x = normal(*lead, self.dims[spec["arguments"]["x"][-1]])
        self.y = normal(*lead, self.dims[spec["arguments"]["y"][-1]])
        self.d_out = normal(*lead, self.dims[spec["arguments"]["out"][-1]])
        self.state = tuple(normal(*rows, self.dims[dim]) for dim in spec["states"].values())
        self.d_state = tuple(normal(*rows, self.dims[dim]) for dim in spec["states"].values())

    def everything(self, wrt=None, **options):
        """The results of all calls. options: of infer, forward and loss_and_grad alike; tape goes to the last two."""
        module, tape = self.module, options.pop("tape", None)
        out, final, saved = module.forward(self.x, self.params, self.state, tape=tape, **options)
        loss, grads = module.loss_and_grad(self.x, self.y, self.params, self.state, tape=tape, wrt=wrt, **options)
        inferred, last = module.infer(self.x, self.params, self.state, **options)
        back = module.backward(saved, self.d_out, self.d_state, wrt=wrt)
        states = {f"{name}_T": array for name, array in zip(module.STATES, final, strict=True)}
        states |= {f"inferred {name}_T": array for name, array in zip(module.STATES, last, strict=True)}
        results = {"out": out, "inferred": inferred, "loss": np.array(loss)}
        results |= {f"backward {name}": array for name, array in back.items()}
        return results | states | {f"loss {name}": array for name, array in grads.items()}


def equal(found, expected):
    assert list(found) == list(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)


def close(found, expected, ulps=200):
    """The same up to some roundings of the largest entry."""
    assert list(found) == list(expected)
    for name, array in expected.items():
        eps = np.finfo(found["out"].dtype if "out" in found else array.dtype).eps
        scale = max(float(np.abs(array).max(initial=0)), 1e-30)
        np.testing.assert_allclose(found[name], array, rtol=0, atol=ulps * eps * scale, err_msg=name)
