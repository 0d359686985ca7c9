"""The errors of a run that are not the person's."""

from __future__ import annotations


class RunFailed(RuntimeError):
    """Training failed in another process; the message is that process's."""
