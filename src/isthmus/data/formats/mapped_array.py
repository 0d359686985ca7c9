"""A memory-mapped array: only accessed pages are read from disk, and memory use is bounded.

Accessed pages count as memory of the process until they are released; they remain in the page cache. See
mmap(2), madvise(2) and proc_pid_statm(5).
"""

from __future__ import annotations

import math
import mmap
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from isthmus.common.errors import BadInput

MAX_RESIDENT = 256 << 20  # resident bytes of the file, above which pages are released
CHECK_EVERY = 64  # accesses between two checks of that: each may map megabytes from the page cache
ACCESS = 64 << 10  # bytes of a row that count as one access
SEEK = 128 << 10  # bytes that a disk reads sequentially in the time of a seek
UNCACHED = 1e-5  # seconds per row; several times the duration of a read from the page cache


class MappedArray:
    """A read-only array [N, ...] that is indexed by rows; thread-safe.

    Without madvise, the system alone decides which pages stay in memory.

    Args:
        path: the file, which must not change while it is read.
        offset: byte at which the values begin.
        shape: as stored.
        dtype: as stored.
        order: C or F.

    Raises:
        OSError, ValueError: the file cannot be mapped.
        IndexError: from indexing: there is no such row.
        BadInput: from indexing: the file has become shorter, and access to its missing pages would end the
            process with SIGBUS.
    """

    def __init__(
        self, path: Path, *, offset: int, shape: tuple[int, ...], dtype: np.dtype, order: str
    ) -> None:
        self.shape, self.dtype = shape, dtype
        self.nbytes = math.prod(shape) * dtype.itemsize
        with path.open("rb") as file:
            self._path, self._end = path, offset + self.nbytes
            self._pages = mmap.mmap(file.fileno(), self._end, access=mmap.ACCESS_READ)
        self._array: np.ndarray = np.ndarray(
            shape, dtype, self._pages, offset, order="F" if order == "F" else "C"
        )
        self._bytes: np.ndarray | None = None
        if shape and self._array.flags.c_contiguous:
            self._bytes = np.ndarray((shape[0], self.nbytes // shape[0]), np.uint8, self._pages, offset)
        width = self.nbytes // max(1, len(self._array)) if shape else 1
        access = dtype.itemsize if self._bytes is None else ACCESS
        self._step = max(1, CHECK_EVERY // max(1, width // access))
        self._offset = offset
        self._advice = "MADV_NORMAL"
        self._slow = False
        self._baseline = _mapped_memory() or 0

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self._array, dtype, copy=copy)

    def __getitem__(self, rows: slice | np.ndarray) -> np.ndarray:
        """A view of a slice of rows, or a copy of the rows with these numbers. Shape: [B, ...]."""
        if self._pages.size() < self._end:
            raise BadInput("data.path", self._path, "became shorter while it was read; restore the file")
        if isinstance(rows, slice):
            self._release_pages()
            return self._array[rows]
        taken = np.empty((len(rows), *self.shape[1:]), self.dtype)
        if not len(rows):
            return taken
        began = time.perf_counter()
        self._advise_rows(rows, int(rows.min()), int(rows.max()))
        for start in range(0, len(rows), self._step):
            self._release_pages()
            piece = slice(start, start + self._step)
            self._copy(rows[piece], taken[piece])
        self._slow = time.perf_counter() - began > UNCACHED * len(rows)
        return taken

    def _copy(self, rows: np.ndarray, into: np.ndarray) -> None:
        if self._bytes is None:
            into[...] = self._array[rows]
        else:  # bytes, since values in the file may be unaligned; mode="clip" needs no buffer
            bytes_ = into.view(np.uint8).reshape(len(rows), -1)
            np.take(self._bytes, rows, axis=0, out=bytes_, mode="clip")

    def _advise_rows(self, rows: np.ndarray, first: int, last: int) -> None:
        """Advise the system which pages will be read: no read-ahead for rows that are far apart."""
        if first < 0 or last >= len(self):
            raise IndexError(f"rows {first} to {last} of {len(self)}")
        if self._bytes is None:
            return
        width = self._bytes.shape[1]
        near = (last - first + 1) * width <= len(rows) * SEEK
        advice = "MADV_NORMAL" if near else "MADV_RANDOM"
        if advice != self._advice:
            self._advice = advice
            self._advise(advice)
        if self._slow and not near:  # concurrent reads are faster than sequential ones
            starts = self._offset + rows * width
            pages = starts // mmap.PAGESIZE * mmap.PAGESIZE
            for page, end in zip(pages.tolist(), (starts + width).tolist(), strict=True):
                self._advise("MADV_WILLNEED", page, end - page)

    def _release_pages(self) -> None:
        if self.nbytes <= MAX_RESIDENT:
            return
        held = _mapped_memory()
        if held is None or held - self._baseline > MAX_RESIDENT:
            self._advise("MADV_DONTNEED")
            self._baseline = _mapped_memory() or 0

    def _advise(self, name: str, *where: int) -> None:
        if hasattr(mmap, name):
            with suppress(OSError):  # advice is optional
                self._pages.madvise(getattr(mmap, name), *where)


def _mapped_memory() -> int | None:
    """Resident bytes of files mapped by this process; None if unknown."""
    try:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[2]) * mmap.PAGESIZE
    except OSError:
        return None
