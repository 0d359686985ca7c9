"""Signals before and after training: they end the command, with one line and the exit code 128 + signal.

Imports nothing heavy. While training, `StopRequests` has the signals.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable
from types import FrameType

from isthmus.runs.errors import Stopped
from isthmus.training.signals import stop_signals

_leaving: Callable[[], None] | None = None  # called before the process ends at once; None: unwind instead
_late = 0  # a signal that came when training was over


def handle() -> None:
    """Take the signals over in the process of a command; they end it at once until `unwind` is called."""
    leave_at_once()
    for number in stop_signals():
        signal.signal(number, _handle)


def leave_at_once(cleanup: Callable[[], None] = lambda: None) -> None:
    """From now on a signal ends the process where it is.

    While modules are imported an exception would not do: some of them swallow it, or print a traceback.

    Args:
        cleanup: called before.
    """
    global _leaving
    _leaving = cleanup


def unwind() -> None:
    """From now on a signal raises `Stopped`, so that files which are being written are removed."""
    global _leaving
    _leaving = None


def record_late(signum: int) -> None:
    """Record a signal, or 0, that came too late to stop a training."""
    global _late
    _late = signum


def check_late() -> None:
    """Raise `Stopped` where such a signal came: it ends a sweep before its next job."""
    if _late:
        raise Stopped(_late)


def release() -> None:
    """Give the signals back to the system: everything is done, and Python would complain at its exit."""
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
