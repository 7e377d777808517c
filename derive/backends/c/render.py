"""The filters of the templates of C, on top of the common environment: sizes as text, and what a macro wrote as whole lines."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import jinja2
import sympy as sp

from derive import rendering
from derive.backends.c.target import TARGET
from derive.backends.shared.sizes import atom, bound, factor, saturated, size

NOTHING = "\0"  # stands where a macro has written nothing, until its line is taken out


@cache
def environment() -> jinja2.Environment:
    """The environment of templates/c/."""
    env = rendering.environment()
    for text in (added, size, factor, atom, saturated, bound, offset, scaled, trimmed):
        env.filters[text.__name__] = text
    env.filters["suffixed"] = lambda name, suffix: f"{name}{suffix}"
    env.filters["prefixed"] = lambda name, prefix: f"{prefix}{name}"
    env.filters["sized"] = lambda name: f"{name} = SIZE_{name}(a)"
    env.globals["target"] = TARGET
    return env


def added(expr: sp.Expr | int, names: str = "") -> str:
    """What stands before something that is added to it; nothing for 0."""
    return f"{size(expr, names)} + " if expr != 0 else ""


def offset(expr: sp.Expr | int, names: str = "") -> str:
    """What is added to an address; nothing for 0."""
    return f" + {size(expr, names)}" if expr else ""


def scaled(expr: sp.Expr | int, names: str = "") -> str:
    """What a number is multiplied by; nothing for 1."""
    return "" if expr == 1 else f" * {factor(expr, names)}"


def trimmed(text: str) -> str:
    """Lines that a macro wrote, to stand in a line of their own; that goes where there are none."""
    return text.strip("\n") or NOTHING


def render(template: str, **values: Any) -> str:
    """The text of a template of C."""
    return re.sub(rf"^ *{NOTHING}\n", "", rendering.render(template, environment(), **values), flags=re.MULTILINE)
