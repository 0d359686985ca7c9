"""Folders that are held while files are written to them, to notice that they were removed or replaced.

A path names whatever lies there now. The descriptor of a folder stays with the folder, so the two are
compared: ``st_dev`` and ``st_ino`` of https://pubs.opengroup.org/onlinepubs/9799919799/basedefs/sys_stat.h.html.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

DESCRIPTORS = Path("/proc/self/fd")  # on Linux: links to what each descriptor is called now


class FolderLost(OSError):
    """A folder was removed, renamed or replaced while it was held.

    Args:
        path: as it was called.
        now: where it lies now, if it was renamed and that is known.
    """

    def __init__(self, path: Path, now: Path | None) -> None:
        super().__init__(f"{path} was removed, renamed or replaced")
        self.path, self.now = path, now

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.path, self.now), self.__dict__


class HeldFolder:
    """A folder that is held.

    Args:
        path: the folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        self.close = weakref.finalize(self, os.close, self.descriptor)

    def check(self) -> None:
        """Raise `FolderLost` where the path does not name this folder any more."""
        if not self._is_at(self.path):
            raise FolderLost(self.path, self._found())

    def _is_at(self, path: Path) -> bool:
        try:
            return os.path.samestat(os.stat(path), os.fstat(self.descriptor))
        except (FileNotFoundError, NotADirectoryError):
            return False

    def _found(self) -> Path | None:
        try:
            now = Path(os.readlink(DESCRIPTORS / str(self.descriptor)))
            return now if self._is_at(now) else None
        except OSError:
            return None


_held: list[HeldFolder] = []


@contextmanager
def holding(path: Path) -> Iterator[None]:
    """Hold a folder, so that `common.atomic_files` writes into this very folder or fails.

    Raises:
        FolderLost: in place of what goes wrong when the folder is lost; at a write, before it.
    """
    folder = HeldFolder(path)
    _held.append(folder)
    try:
        yield
    except FolderLost:
        raise
    except (Exception, KeyboardInterrupt) as error:
        try:
            folder.check()
        except FolderLost as lost:
            raise lost from error
        raise
    finally:
        _held.remove(folder)
        folder.close()


def check_held(path: Path) -> None:
    """Raise `FolderLost` where `path` is in a held folder that was lost."""
    for folder in _held:
        if path.is_relative_to(folder.path):
            folder.check()


def held_folders() -> tuple[HeldFolder, ...]:
    """The folders that are held now."""
    return tuple(_held)
