"""Plans in forked children: free, whole, and with nothing left of a call that another thread of the parent was making."""

from __future__ import annotations

import os
import threading
import weakref
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .plan import Plan

plans: weakref.WeakSet[Plan] = weakref.WeakSet()
_copying = threading.RLock()


def copying() -> AbstractContextManager[object]:
    """Held while new parameters are copied: a fork waits, so that no child gets half of them."""
    return _copying


def _after_fork() -> None:
    global _copying
    _copying = threading.RLock()
    for plan in list(plans):
        plan._after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=lambda: _copying.acquire(), after_in_parent=lambda: _copying.release(), after_in_child=_after_fork
    )
