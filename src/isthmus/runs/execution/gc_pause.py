"""Python's garbage collector rests while a command starts.

Nearly all of what imports make stays, and the collector would look through it again and again: a sixth of the
time that importing torch and Lightning takes.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_postponed = False
_frozen = False


@contextmanager
def postponed() -> Iterator[None]:
    """Collect no garbage until `go_on` is called or this ends. A collector that is off stays off."""
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
    """Collect garbage again, if it was postponed. What was made in between is not looked through.

    The next call, by the next job of a sweep, says that the first job is over: what it made can be garbage.
    """
    global _postponed, _frozen
    if _postponed:
        gc.freeze()
        gc.enable()
        _postponed, _frozen = False, True
    elif _frozen:
        gc.unfreeze()
        _frozen = False
