"""Handle signals before and after training: end the command with one line and exit code 128 + signal.

Imports nothing heavy. During training, `StopRequests` handles the signals.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable
from types import FrameType

from isthmus.runs.errors import Stopped
from isthmus.training.stop_requests import stop_signals

_leaving: Callable[[], None] | None = None  # called before the process ends at once; None: raise `Stopped`
_late = 0  # a signal that arrived after training ended


def handle() -> None:
    """Install the signal handlers of a command; a signal ends it at once until `unwind` is called."""
    leave_at_once()
    for number in stop_signals():
        signal.signal(number, _handle)


def leave_at_once(cleanup: Callable[[], None] = lambda: None) -> None:
    """From now on a signal ends the process at once.

    An exception would not work during imports: some modules swallow it or print a traceback.

    Args:
        cleanup: called before the process ends.
    """
    global _leaving
    _leaving = cleanup


def unwind() -> None:
    """From now on a signal raises `Stopped`, so that unfinished files are removed."""
    global _leaving
    _leaving = None


def record_late(signum: int) -> None:
    """Record a signal that came too late to stop training; 0 if there was none."""
    global _late
    _late = signum


def check_late() -> None:
    """Raise `Stopped` if a late signal was recorded: it ends a sweep before the next job."""
    if _late:
        raise Stopped(_late)


def release() -> None:
    """Restore the default handlers: with ours, a signal at interpreter exit would print an error."""
    for number in stop_signals():
        signal.signal(number, signal.SIG_DFL)


def _handle(signum: int, frame: FrameType | None) -> None:
    if _leaving is None:
        raise Stopped(signum)
    with contextlib.suppress(Exception):
        _leaving()
    with contextlib.suppress(OSError):  # the terminal may be gone
        os.write(2, b"isthmus: stopped\n")
    os._exit(128 + signum)
