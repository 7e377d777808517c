"""Two arrays side by side: what a module gives and what the equations give."""

from __future__ import annotations

from typing import Any

import numpy as np

from derive.verify.oracle import Expected

Array = Any

# Of the largest element of an array. A wrong term, index or step is off by many powers of ten more; sums in another
# order, factored forms and functions with errors of a few ulp by many fewer.
RELATIVE = {"float32": 1e-4, "float64": 1e-10}
# How many times farther than the drawn roundings those of a right module may go.
ROUNDINGS = 100.0
# Below this, numbers may be flushed to zero.
SMALLEST = {"float32": 1e-30, "float64": 1e-280}


def discrepancy(name: str, found: Any, expected: Expected, dtype: Any) -> str:
    """What is wrong with one result, as the end of a sentence; empty where it is right."""
    wanted, kind = expected.values[name], np.dtype(dtype).name
    found = np.asarray(found)
    if found.shape != wanted.shape:
        return f"has the shape {found.shape}, expected {wanted.shape}"
    if name != "loss" and found.dtype != dtype:
        return f"is {found.dtype}, expected {kind}"
    if not wanted.size:
        return ""
    with np.errstate(all="ignore"):
        error = np.asarray(np.abs(found.astype(np.longdouble) - wanted))
        error[np.isnan(found) & np.isnan(wanted)] = 0
        error[found == wanted] = 0  # infinities that agree
    scale = float(np.abs(wanted[np.isfinite(wanted)]).max(initial=0))
    allowed = max(RELATIVE[kind] * scale, SMALLEST[kind])
    if bool((error <= allowed).all()):
        return ""
    noise = getattr(expected.roundings, kind)[name]
    allowed = max(allowed, ROUNDINGS * noise if np.isfinite(noise) else 0.0)
    if bool((error <= allowed).all()):
        return ""
    worst = np.unravel_index(int(np.argmax(np.where(np.isnan(error), np.inf, error))), error.shape)
    wrong = int((~(error <= allowed)).sum())
    place = f"[{', '.join(map(str, worst))}]" if worst else ""
    values = f"{float(found[worst]):.8g}, expected {float(wanted[worst]):.8g}"
    many = f" ({wrong} of {error.size} elements are off by more than {allowed:.1g})" if error.size > 1 else ""
    return f"{place} is {values}{many}"


def nan_discrepancy(name: str, found: Any, wanted: Any) -> str:
    """As `discrepancy`, for where a result is NaN."""
    other = np.isnan(np.asarray(found)) != np.isnan(wanted)
    if not other.any():
        return ""
    worst = np.unravel_index(int(np.argmax(other)), other.shape)
    return f"[{', '.join(map(str, worst))}] is {float(found[worst]):.8g}, expected {float(wanted[worst]):.8g}"
