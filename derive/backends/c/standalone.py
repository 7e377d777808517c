"""The C of a model as files that need nothing beside them: what a file includes is folded into it.

lstm.h lstm_kernels.h lstm_f32.c + derive_*.h   ->   lstm.h lstm_f32.c
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from derive.backends.c import emit
from derive.backends.shared.printer import Real
from derive.pipeline import Model
from derive.rendering import DO_NOT_EDIT

_INCLUDE = re.compile(r'^#include "(\w+\.h)"\n', re.MULTILINE)
_HEAD = re.compile(rf"\A/\* {re.escape(DO_NOT_EDIT)}\n \*\n")
_GUARD = re.compile(r"^#ifndef (DERIVE_\w+_H_)\n#define \1\b[^\n]*\n+(.*)\n#endif\n\Z", re.MULTILINE | re.DOTALL)


def standalone(made: Model, reals: Sequence[Real] = emit.REALS) -> dict[str, str]:
    """The C files of a model, by name: one header, and for each scalar type one file that reads no other of ours."""
    code = emit.code(made, reals, alone=True)
    inside = {**emit.shared(), f"{made.name}_kernels.h": code.pop(f"{made.name}_kernels.h")}
    return {name: _folded(text, inside) for name, text in code.items()}


def _folded(text: str, inside: Mapping[str, str]) -> str:
    """A text with what it includes, wherever that is to be folded, in place of the line that includes it."""

    def body(name: str) -> str:
        own = _GUARD.sub(r"\2", inside[name])
        title = name.removesuffix(".h").rpartition("_")[2]
        titled = _HEAD.sub(f"/* ==== {title} {'=' * (110 - len(title))}\n *\n", own)
        return _folded(titled, inside)

    return _INCLUDE.sub(lambda found: body(found[1]) if found[1] in inside else found[0], text)
