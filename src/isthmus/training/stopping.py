"""Being asked to stop: by Ctrl+C, by SIGTERM, or by a scheduler that wants the machine back."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

MESSAGE = b"isthmus: stopping with a checkpoint; Ctrl+C once more leaves at once\n"


class Interruption(Exception):
    """Ends training; a checkpoint was written.

    Args:
        signum: the signal that asked for it.
    """

    def __init__(self, signum: int) -> None:
        super().__init__(f"stopped by {signal.Signals(signum).name}")
        self.signum = signum


class StopRequests:
    """Remembers the first signal that asks to stop; whoever trains looks between two steps.

    Attributes:
        signum: the signal, or 0.
    """

    def __init__(self) -> None:
        self.signum = 0
        # what a shell told a job in the background to ignore stays ignored
        self._heard = [number for number in _signals() if signal.getsignal(number) != signal.SIG_IGN]

    @contextmanager
    def listening(self) -> Iterator[StopRequests]:
        """Take the signals over, and give them back."""
        before = {number: signal.getsignal(number) for number in self._heard}
        self.listen()
        try:
            yield self
        finally:
            if threading.current_thread() is threading.main_thread():
                for number, handler in before.items():
                    signal.signal(number, handler)

    def listen(self) -> None:
        """Take the signals over, from Lightning too, whose handlers would end without a checkpoint."""
        if threading.current_thread() is not threading.main_thread():
            return  # signals come to the main thread alone
        for number in self._heard:
            if number != signal.SIGINT or self.signum != signal.SIGINT:
                signal.signal(number, self._asked)

    def _asked(self, signum: int, frame: FrameType | None) -> None:
        if signum == self.signum == signal.SIGINT:  # Lightning gave the signal back to us
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGINT)
        self.signum = self.signum or signum
        if signum == signal.SIGINT:
            # from here on the system ends the process, even in the middle of a long call
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            if os.environ.get("RANK", "0") == "0":  # of several processes one speaks
                with contextlib.suppress(OSError):  # nobody may be reading
                    os.write(2, MESSAGE)


def _signals() -> list[signal.Signals]:
    # `sbatch --signal=USR1@90` announces the end of a job's time; elsewhere the signal is not ours
    ours = [signal.SIGINT, signal.SIGTERM]
    return [*ours, signal.SIGUSR1] if "SLURM_JOB_ID" in os.environ else ours
