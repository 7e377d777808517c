"""What to do about an error of Python in a cell file: the end of a message."""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Iterable

from derive.ir.functions import IN_CELLS, record_for
from derive.notation import symbols

_CHOICE = (
    "; Python's max, min, if, and, or, not ask for a value that is there only when the cell runs. Write maximum(a, b), "
    "minimum(a, b), where(a > b, c, d) for an if, (a > b) & (c > d) for an and, (a > b) | (c > d) for an or; they come from "
    "derive.notation"
)
# What has another name here, by what people write.
_CALLED = {
    "max": "maximum", "Max": "maximum", "min": "minimum", "Min": "minimum", "Abs": "abs", "fabs": "abs", "arctan": "atan",
    "clamp": "clip", "swish": "silu", "Piecewise": "where", "ifelse": "where", "logistic": "sigmoid", "signum": "sign",
    "ndtr": "normal_cdf", "Heaviside": "where(x > 0, 1, 0)", "heaviside": "where(x > 0, 1, 0)", "hardtanh": "hard_tanh",
    "hardsigmoid": "hard_sigmoid", "logsigmoid": "log_sigmoid", "leakyrelu": "leaky_relu", "LeakyReLU": "leaky_relu",
}  # fmt: skip


def hint(error: Exception, names: Iterable[str]) -> str:
    """What to do about an error in a function of a cell file, whose tensors have these names."""
    text, names = str(error), list(names)
    if isinstance(error, NameError):
        name = getattr(error, "name", None) or ""
        if name in symbols.WORDS:
            return f"; import it: from derive.notation import {name}"
        near = nearest(name, [*names, *symbols.WORDS])
        return (f"; did you mean {near}?" if near else ".") + (
            f" A tensor is an argument of the function ({', '.join(names)}), a function comes from "
            f"derive.notation, and any other number or index is defined above the function"
        )
    if "truth value" in text or "StrictGreaterThan" in text or "LessThan" in text or "'GreaterThan'" in text:
        return _CHOICE
    if isinstance(error, TypeError) and "for ^" in text:
        return "; a power is written with two stars: h[t, n]**2"
    if "convert expression to float" in text or "convert complex to float" in text:
        return (
            "; equations call the functions of derive.notation, not those of math or NumPy; float, int and round want "
            "numbers as well, and for them there is floor"
        )
    if isinstance(error, TypeError) and (called := re.match(r"(\w+)(\(\))? (takes|missing|got)", text)):
        form = usage(called[1])
        return f"; write {form}" if form else ""
    if isinstance(error, (TypeError, AttributeError)):
        return "; equations call the functions of derive.notation, not those of math or NumPy"
    return ""


def nearest(name: str, names: Iterable[str]) -> str:
    """The name that was meant, if it can be told."""
    names = list(names)
    if name in _CALLED:
        return _CALLED[name]
    near = [x for x in names if x.lower() == name.lower()] or difflib.get_close_matches(name, names, 1, 0.5)
    return near[0] if near else ""


def usage(name: str) -> str:
    """How a function is called: where(condition, a, b); empty for a name that is none."""
    function = IN_CELLS.get(name)
    if function is None:
        return ""
    record = record_for(function)
    if record is not None:
        return f"{name}({', '.join(record.arguments)})"
    return f"{name}({', '.join(map(_argument, inspect.signature(function).parameters.values()))})"


def _argument(parameter: inspect.Parameter) -> str:
    return parameter.name if parameter.default is parameter.empty else f"{parameter.name}={parameter.default}"
