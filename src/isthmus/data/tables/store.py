"""Where the stored cells of a table are kept: in memory, or in a file that is memory-mapped.

The file is in NumPy's .npy format, in the user's cache, and is unlinked as soon as it is mapped.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from isthmus.common.atomic_files import replacing
from isthmus.data.formats.npy import map_npy
from isthmus.data.memory import NoRoom

FLUSHED = 256 << 20  # bytes after which written pages are given back
MARGIN = 1 << 30  # bytes of the disk that stay free


class MemoryStore:
    """Cells [N, C], float32, in memory.

    Args:
        rows: N.
        columns: C.
    """

    def __init__(self, rows: int, columns: int) -> None:
        self.cells = np.empty((rows, columns), np.float32)

    def put(self, start: int, at: int, values: np.ndarray) -> None:
        """Set the rows from `start` of the column `at`. Shape: [B]."""
        self.cells[start : start + len(values), at] = values

    def take(self, rows: np.ndarray | slice) -> np.ndarray:
        """The cells of some rows, which callers must not modify. Shape: [B, C]."""
        return self.cells[rows]


class FileStore:
    """Cells [N, C], float32, in a .npy file, which may be unlinked as soon as it is mapped.

    Args:
        path: of the complete file.
    """

    def __init__(self, path: Path) -> None:
        self._cells = map_npy(path)

    def take(self, rows: np.ndarray | slice) -> np.ndarray:
        """The cells of some rows, which callers must not modify. Shape: [B, C]."""
        return self._cells[rows]


class _Writer(MemoryStore):
    def __init__(self, path: Path, rows: int, columns: int) -> None:
        self._file = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(rows, columns))
        self.cells = self._file
        self._written = 0

    def put(self, start: int, at: int, values: np.ndarray) -> None:
        super().put(start, at, values)
        self._written += values.nbytes
        if self._written > FLUSHED:
            self.flush()

    def flush(self) -> None:
        """Write changed pages to the disk, and release them."""
        import mmap

        self._file.flush()
        if hasattr(mmap, "MADV_DONTNEED"):
            self._file._mmap.madvise(mmap.MADV_DONTNEED)  # type: ignore[attr-defined]
        self._written = 0


def new_path(folder: Path) -> Path:
    """The path for a store of this process; removes what killed processes of this machine left."""
    host = socket.gethostname()
    for path in folder.glob(f"*{host}_*") if os.name == "posix" else ():
        pid = path.name.lstrip(".").removeprefix(f"{host}_").partition("_")[0]
        if pid.isdigit() and not _is_alive(int(pid)):
            path.unlink(missing_ok=True)
    return folder / f"{host}_{os.getpid()}_{secrets.token_hex(8)}.npy"


def _is_alive(pid: int) -> bool:
    with contextlib.suppress(PermissionError):
        try:
            os.kill(pid, 0)
        except (ProcessLookupError, OverflowError):
            return False
    return True


@contextmanager
def writing(path: Path, rows: int, columns: int) -> Iterator[MemoryStore]:
    """Yield a store whose file is at `path` afterwards, unless there is an error.

    Raises:
        NoRoom: the disk has too little space.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    size, free = rows * columns * np.dtype(np.float32).itemsize, shutil.disk_usage(path.parent).free
    if size + MARGIN > free:
        raise NoRoom(
            f"the table would take {size / 1e9:.1f} GB in {path.parent}, which has {free / 1e9:.1f} GB left; "
            "set XDG_CACHE_HOME to a folder on a larger disk, or leave columns out with data.drop"
        )
    with replacing(path) as beside:
        writer = _Writer(beside, rows, columns)
        yield writer
        writer.flush()
