"""Gradient flow for other programs: what a `Flow` holds as names, numbers and lists, without the Jacobians themselves."""

from __future__ import annotations

from typing import Any

import numpy as np

from derive.flow.measure import Flow


def as_dict(found: Flow) -> dict[str, Any]:
    """The fields of a flow by name; `eigenvalues` are (samples, units) pairs of a real and an imaginary part."""
    return {
        "cell": found.cell,
        "start": {"scale": found.start.scale, "keep": found.start.keep},
        "T": found.T,
        "H": found.H,
        "seed": found.seed,
        "samples": found.samples,
        "states": dict(found.states),
        "lags": found.lags.tolist(),
        "norms": {name: values.tolist() for name, values in found.norms.items()},
        "alone": {name: values.tolist() for name, values in found.alone.items()},
        "rate": found.rate(),
        "singular_values": found.values.tolist(),
        "eigenvalues": np.stack([found.eigenvalues.real, found.eigenvalues.imag], axis=-1).tolist(),
    }
