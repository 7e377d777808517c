"""What a notebook shows as formulas.

Programs, cells and steps are `Shown`; derive/document knows how they look and stands far above them.  derive/__init__.py,
which Python runs before any module of the package, puts a function here that asks it when a notebook does.
"""

from __future__ import annotations

from collections.abc import Callable


class Shown:
    """A base of what has a form for notebooks: `renderer(form, object)` makes it, form being "latex" or "html"."""

    renderer: Callable[[str, object], str]

    def _repr_latex_(self) -> str:
        return Shown.renderer("latex", self)

    def _repr_html_(self) -> str:
        return Shown.renderer("html", self)
