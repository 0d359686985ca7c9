"""How a run ends that is neither done nor refused."""

from __future__ import annotations


class RunFailed(RuntimeError):
    """Training failed in another process; the message is that process's."""


class Stopped(KeyboardInterrupt):
    """Training was stopped from outside.

    Args:
        signal: that stopped it.
    """

    def __init__(self, signal: int) -> None:
        super().__init__()
        self.exit_code = 128 + signal
