"""What happens in a folder, told by the kernel (inotify) while it happens.

Asking again and again whether a file is there would take a core from the training that is to be killed,
and miss files that live for a millisecond.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

CREATED, MODIFIED, CLOSED, RENAMED = 0x100, 0x2, 0x8, 0x80
NEW_FOLDER = CREATED | 0x40000000
HEADER = struct.Struct("iIII")

libc = ctypes.CDLL(None, use_errno=True)


class Event(NamedTuple):
    """One thing that happened.

    Attributes:
        kind: CREATED, MODIFIED, CLOSED (after writing) or RENAMED (to this name).
        path: of the file or folder.
    """

    kind: int
    path: Path


class Watch:
    """Sees everything that is written in a folder and below it, from now on.

    Args:
        folder: must be there.
    """

    def __init__(self, folder: Path) -> None:
        self._began = time.monotonic()
        self._queue = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        self._folders: dict[int, Path] = {}
        self._add(folder)

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *raised: object) -> None:
        os.close(self._queue)

    def now(self) -> float:
        """Seconds since the watch began."""
        return time.monotonic() - self._began

    def until(self, over: Callable[[], bool], *, timeout: float = 120) -> Iterator[Event | None]:
        """Each event; None now and then where nothing happens. Ends when `over` says so.

        Raises:
            TimeoutError: after `timeout` seconds.
        """
        while True:
            ended = over()  # what happened before is still given
            yield from self._read()
            if ended:
                return
            if not select.select([self._queue], [], [], 0.02)[0]:
                yield None
            if self.now() > timeout:
                raise TimeoutError(f"nothing came to an end within {timeout} seconds")

    def _add(self, folder: Path) -> None:
        number = libc.inotify_add_watch(
            self._queue, os.fsencode(folder), CREATED | MODIFIED | CLOSED | RENAMED
        )
        if number < 0:
            return  # it was removed in the meantime
        self._folders[number] = folder
        with contextlib.suppress(FileNotFoundError):  # it was renamed in the meantime
            for inner in folder.iterdir():
                if inner.is_dir():
                    self._add(inner)

    def _read(self) -> Iterator[Event]:
        try:
            data = os.read(self._queue, 1 << 16)
        except BlockingIOError:
            return
        while data:
            number, mask, _, length = HEADER.unpack_from(data)
            name = data[HEADER.size : HEADER.size + length].rstrip(b"\0").decode()
            data = data[HEADER.size + length :]
            if number not in self._folders:
                continue
            path = self._folders[number] / name
            if mask & NEW_FOLDER == NEW_FOLDER:
                self._add(path)
            for kind in (CREATED, MODIFIED, CLOSED, RENAMED):
                if mask & kind:
                    yield Event(kind, path)
