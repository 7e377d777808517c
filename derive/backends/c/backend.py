"""The C backend as derive/backends/base.py asks for it."""

from __future__ import annotations

from typing import Any

from derive.backends.c import emit
from derive.errors import DeriveError
from derive.pipeline import Model


class C:
    """Both scalar types, for every instruction set and any sizes: files of C without options."""

    name = "c"

    def files(self, model: Model, **options: Any) -> dict[str, str]:
        """Header, one file for each type and instruction set, and one that chooses among them when it runs."""
        if options:
            raise DeriveError(f"the backend {self.name} has no option {next(iter(options))}")
        return emit.code(model)
