"""Detects that a folder is removed or replaced while files are written to it.

A descriptor stays with its folder, while a path may name another one later. So ``st_dev`` and ``st_ino`` of
both are compared: https://pubs.opengroup.org/onlinepubs/9799919799/basedefs/sys_stat.h.html
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

DESCRIPTORS = Path("/proc/self/fd")  # Linux: links to the current path of each descriptor


class FolderLost(OSError):
    """A folder was removed, renamed or replaced while it was held.

    Args:
        path: its path when it was held.
        now: its current path, if it was renamed and that is known.
    """

    def __init__(self, path: Path, now: Path | None) -> None:
        super().__init__(f"{path} was removed, renamed or replaced")
        self.path, self.now = path, now

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.path, self.now), self.__dict__


class HeldFolder:
    """A folder with an open descriptor.

    Args:
        path: the folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        self.close = weakref.finalize(self, os.close, self.descriptor)

    def check(self) -> None:
        """Raise `FolderLost` if the path no longer names this folder."""
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
    """Hold a folder: `common.atomic_files` then writes into this same folder or fails.

    Raises:
        FolderLost: the folder is lost; raised before a write, or instead of any other error.
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
    """Raise `FolderLost` if `path` is in a held folder that was lost."""
    for folder in _held:
        if path.is_relative_to(folder.path):
            folder.check()


def held_place(path: Path) -> tuple[Path, int | None]:
    """`path` for a system call with `dir_fd`: relative to the held folder that contains it, if there is one.

    Then the call cannot reach a folder that has taken the place of the held one.
    """
    for folder in _held:
        if path.is_relative_to(folder.path):
            return path.relative_to(folder.path), folder.descriptor
    return path, None


def held_folders() -> tuple[HeldFolder, ...]:
    """The folders that are currently held."""
    return tuple(_held)
