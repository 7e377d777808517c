"""The filters by which the templates of C ask the passes for text, on top of the common environment."""

from __future__ import annotations

from functools import cache
from typing import Any

import jinja2
import sympy as sp

from derive import rendering
from derive.backends.c import addresses, layout
from derive.backends.c.target import TARGET
from derive.backends.shared.names import c_name
from derive.backends.shared.sizes import atom, bound, saturated, size


@cache
def environment() -> jinja2.Environment:
    """The environment of templates/c/."""
    env = rendering.environment()
    for printed in (size, atom, saturated, bound, offset):
        env.filters[printed.__name__] = printed
    env.filters["ids"] = lambda e: ", ".join(e.ids)
    env.filters["suffixed"] = lambda name, suffix: f"{name}{suffix}"
    env.filters["prefixed"] = lambda name, prefix: f"{prefix}{name}"
    env.globals["c_name"] = c_name
    env.globals["target"] = TARGET
    for function in (
        addresses.since,
        layout.buffers,
        layout.reduced,
        layout.tiles,
        layout.all_fields,
        layout.fields_of,
        layout.uses_tape,
        layout.has_zeros,
        layout.zero_width,
        layout.panel_depth,
        layout.packs_whole,
        layout.values_before,
        layout.hoisted,
        layout.joinable,
        layout.narrows,
        layout.varies,
        layout.end_fields,
        layout.hoists,
        layout.splittable,
        layout.tape_widths,
        layout.width,
        layout.mentions,
    ):
        env.filters[function.__name__] = function
    env.globals["needs_ld"] = layout.needs_ld
    return env


def offset(expr: sp.Expr | int, names: str = "") -> str:
    """What is added to an address; nothing for 0."""
    return f" + {size(expr, names)}" if expr else ""


def render(template: str, **values: Any) -> str:
    """The text of a template of C."""
    return rendering.render(template, environment(), **values)
