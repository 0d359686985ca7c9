"""Decides which failures end a run, and which are only logged as a warning."""

from __future__ import annotations

import errno
import logging
import os
from pathlib import Path

from isthmus.common.errors import cut, error_chain
from isthmus.common.held_folder import FolderLost, held_folders

logger = logging.getLogger(__name__)

DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EACCES, errno.EPERM)


def disk_failure(error: BaseException, folder: Path) -> OSError | None:
    """The disk error of `folder` in the cause chain of `error`, or None; PyTorch wraps such errors."""
    for cause in error_chain(error):
        if isinstance(cause, OSError) and cause.errno in DISK_ERRORS:
            name = cause.filename
            if name is None or Path(os.fsdecode(name)).resolve().is_relative_to(folder.resolve()):
                return cause
    return None


def _is_missing(error: BaseException, folder: Path) -> bool:
    """Whether a path in `folder` is missing, as happens while the folder is being removed."""
    if not isinstance(error, FileNotFoundError | NotADirectoryError) or error.filename is None:
        return False
    return Path(os.fsdecode(error.filename)).absolute().is_relative_to(folder.absolute())


class WarnOnFailure:
    """A context that logs the first error raised in it as a warning, and suppresses later ones.

    Disk errors of a held folder, and the loss of that folder, are raised: training cannot continue.

    Args:
        what: what failed, as a sentence.
    """

    def __init__(self, what: str) -> None:
        self.what = what
        self._told = False

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if not isinstance(error, Exception) or isinstance(error, FolderLost):
            return False
        for folder in held_folders():
            folder.check()
            if disk_failure(error, folder.path) is not None or _is_missing(error, folder.path):
                return False
        if not self._told:
            self._told = True
            said = " ".join(f"{type(error).__name__}: {error}".split())
            logger.warning("warning: %s (%s); the run goes on", self.what, cut(said))
        return True
