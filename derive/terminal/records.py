"""Results as JSON for other programs: one value on the standard output, valid for every reader."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import click


def write_json(value: Any) -> None:
    """Write one JSON value, in ASCII, ended by a line break."""
    click.echo(json.dumps(plain_numbers(value), indent=2, allow_nan=False))


def plain_numbers(value: Any) -> Any:
    """`value` with what JSON has: arrays as lists, and "NaN", "Infinity" and "-Infinity" for the numbers that it lacks.

    Both `float` of Python and `Number` of JavaScript read these strings.
    """
    if isinstance(value, Mapping):
        return {str(key): plain_numbers(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain_numbers(item) for item in value]
    if hasattr(value, "tolist"):  # a number or an array of NumPy, which is not imported here
        return plain_numbers(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value
