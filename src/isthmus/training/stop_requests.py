"""Requests to stop: from Ctrl+C, SIGTERM, a closing terminal, or a scheduler."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

MESSAGE = b"isthmus: stopping with a checkpoint; Ctrl+C once more leaves at once\n"


class Interruption(Exception):
    """Ends training; a checkpoint was written.

    Args:
        signum: the signal that requested it.
    """

    def __init__(self, signum: int) -> None:
        super().__init__(f"stopped by {signal.Signals(signum).name}")
        self.signum = signum

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.signum,), self.__dict__


class StopRequests:
    """Records the first signal that asks to stop; the training loop checks it between two steps.

    Attributes:
        signum: the signal, or 0.
    """

    def __init__(self) -> None:
        self.signum = 0
        self._in_python = False  # called from Python code, which handles Ctrl+C itself

    @contextmanager
    def listening(self) -> Iterator[StopRequests]:
        """Install the signal handlers; restores the previous ones."""
        in_main = threading.current_thread() is threading.main_thread()  # other threads cannot set handlers
        handler = signal.getsignal(signal.SIGINT)
        self._in_python = handler is signal.default_int_handler and "RANK" not in os.environ
        before = {number: signal.signal(number, self._asked) for number in stop_signals() if in_main}
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _asked(self, signum: int, frame: FrameType | None) -> None:
        self.signum = self.signum or signum
        if signum == signal.SIGINT:
            # the next Ctrl+C ends the process, even in the middle of a long call; but not a notebook's
            following = signal.default_int_handler if self._in_python else signal.SIG_DFL
            signal.signal(signal.SIGINT, following)
            if os.environ.get("RANK", "0") == "0":  # only one of several processes prints
                with contextlib.suppress(OSError):  # stderr may be closed
                    os.write(2, MESSAGE)


def stop_signals() -> list[signal.Signals]:
    """The signals that ask to stop, except those that nohup or a shell made this process ignore."""
    numbers = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
    if "SLURM_JOB_ID" in os.environ:  # `sbatch --signal=USR1@90` announces the end of a job's time
        numbers.append(signal.SIGUSR1)
    return [number for number in numbers if signal.getsignal(number) != signal.SIG_IGN]
