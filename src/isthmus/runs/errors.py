"""Errors of runs that failed or were stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from isthmus.common.errors import error_chain
from isthmus.common.held_folder import FolderLost
from isthmus.common.messages import command_line, relative


class RunFailed(RuntimeError):
    """Training failed in another process, whose message this is, or because of the run folder or disk."""


def lost(error: FolderLost) -> RunFailed:
    """The error to raise when a run folder was removed, renamed or replaced during training."""
    here = relative(error.path)
    if error.now is None:
        return RunFailed(f"the run folder {here} was removed or replaced during training; train it again")
    resuming = command_line("isthmus", "resume", relative(error.now))
    return RunFailed(
        f"the run folder {here} was renamed during training, and is in {relative(error.now)} now; "
        f"to resume: {resuming}"
    )


class Carried(BaseException):
    """Carries an error through Hydra, which would print a line of its own for an `Exception`."""

    def __init__(self, error: Exception) -> None:
        super().__init__(error)
        self.error = error


class Stopped(KeyboardInterrupt):
    """A signal stopped training.

    Args:
        signum: the signal.
        path: the run folder to resume; None if there is none yet.
    """

    def __init__(self, signum: int, path: Path | None = None) -> None:
        resuming = f"; to resume: {command_line('isthmus', 'resume', relative(path))}" if path else ""
        super().__init__(f"stopped{resuming}")
        self.signum = signum
        self.path = path
        self.exit_code = 128 + signum

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.signum, self.path), self.__dict__


def interruption_behind(error: BaseException) -> KeyboardInterrupt | None:
    """The interruption that `error` is, or that was being handled when it was raised; None if there is none.

    A signal handler's exception can appear anywhere, also in a ``finally`` clause of third-party code, which
    then may raise an error of its own. An error of the run folder or the disk stays one: it says what to do.
    """
    for behind in error_chain(error):
        if isinstance(behind, KeyboardInterrupt):
            return behind
        if isinstance(behind, RunFailed | FolderLost):
            break
    return None
