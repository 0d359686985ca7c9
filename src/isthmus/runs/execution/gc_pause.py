"""Pause Python's garbage collector while a command starts.

Nearly all objects created by imports stay alive, and the collector would scan them repeatedly. That takes a
sixth of the import time of torch and Lightning.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_postponed = False
_frozen = False


@contextmanager
def postponed() -> Iterator[None]:
    """Disable garbage collection until `go_on` or the end of the context. If it is off, it stays off."""
    global _postponed
    if not gc.isenabled():
        yield
        return
    gc.disable()
    _postponed = True
    try:
        yield
    finally:
        gc.enable()
        _postponed = False


def go_on() -> None:
    """Enable garbage collection again, if it was postponed, without scanning the objects that exist now.

    In a sweep the next job calls this again. By then the first job's objects may be garbage, so that call
    makes the collector scan all objects again.
    """
    global _postponed, _frozen
    if _postponed:
        gc.freeze()
        gc.enable()
        _postponed, _frozen = False, True
    elif _frozen:
        gc.unfreeze()
        _frozen = False
