"""Python's garbage collector rests while a command starts.

Nearly all of what imports make stays, and the collector would look through it again and again: a sixth of the
time that importing torch and Lightning takes.
"""

from __future__ import annotations

import gc

_postponed = False


def postpone() -> None:
    """Collect no garbage until `go_on` is called; nothing happens where the collector is off anyway."""
    global _postponed
    if gc.isenabled():
        gc.disable()
        _postponed = True


def go_on() -> None:
    """Collect garbage again, if it was postponed. What was made in between is never looked through again."""
    global _postponed
    if _postponed:
        gc.freeze()
        gc.enable()
        _postponed = False
