"""Names of C variables."""

from __future__ import annotations

from derive.signature import argument_name, is_ambiguous, is_reserved

ENDINGS = {-1: "_prev", 1: "_next"}


def c_name(name: str, offset: int) -> str:
    """The C variable of a tensor at an offset: c, c_prev, d_z_i_next. No two tensors get the same one."""
    if not offset:
        return argument_name(name)
    base = f"{name}{ENDINGS[offset]}".replace("'", "_")
    return f"{base}_" if is_reserved(base) or is_ambiguous(name) else base
