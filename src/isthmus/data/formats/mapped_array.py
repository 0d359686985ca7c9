"""An array in a mapped file: the disk is read where it is touched, and memory stays flat.

Pages that were touched count as memory of the process until they are given back; the system's cache of the
file keeps them. See mmap(2), madvise(2) and proc_pid_statm(5).
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

MOST = 256 << 20  # bytes of the file in the memory of the process, before some are given back
PIECE = 64  # places touched between two looks: at each, the system may map up to megabytes from its cache
PLACE = 64 << 10  # bytes of a row in one place
WORTH = 128 << 10  # bytes that a disk reads on in the time it takes to go elsewhere
SLOW = 1e-5  # seconds to take a row; several times what it takes when the system has the file in its cache


class MappedArray:
    """A read-only array [N, ...] of which rows can be taken, by several threads at once.

    Where the system has no madvise, it decides by itself what stays in memory.

    Args:
        path: the file, which must not change while it is read.
        offset: the byte at which the values begin.
        shape: as stored.
        dtype: as stored.
        order: C or F.

    Raises:
        OSError, ValueError: the file cannot be mapped.
        IndexError: from taking, where there is no such row.
        BadInput: from taking, where the file has become shorter before, whose missing pages the system would
            answer with a signal that ends the process.
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
        self._step = max(1, PIECE // max(1, width // (PLACE if self._bytes is not None else dtype.itemsize)))
        self._offset = offset
        self._advice = "MADV_NORMAL"
        self._slow = False
        self._others = _mapped_memory() or 0

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self._array, dtype, copy=copy)

    def __getitem__(self, rows: slice | np.ndarray) -> np.ndarray:
        """A view of a slice of rows, or a copy of the rows with these numbers. Shape: [B, ...]."""
        if self._pages.size() < self._end:
            raise BadInput(
                "data.path", self._path, "became shorter while it was read; bring it back as it was"
            )
        if isinstance(rows, slice):
            self._give_back()
            return self._array[rows]
        taken = np.empty((len(rows), *self.shape[1:]), self.dtype)
        if not len(rows):
            return taken
        began = time.perf_counter()
        self._announce(rows, int(rows.min()), int(rows.max()))
        for start in range(0, len(rows), self._step):
            self._give_back()
            piece = slice(start, start + self._step)
            self._copy(rows[piece], taken[piece])
        self._slow = time.perf_counter() - began > SLOW * len(rows)
        return taken

    def _copy(self, rows: np.ndarray, into: np.ndarray) -> None:
        if self._bytes is None:
            into[...] = self._array[rows]
        else:  # whole rows, which need not be aligned as their type is; "clip" is what needs no buffer
            bytes_ = into.view(np.uint8).reshape(len(rows), -1)
            np.take(self._bytes, rows, axis=0, out=bytes_, mode="clip")

    def _announce(self, rows: np.ndarray, first: int, last: int) -> None:
        """Tell the system which pages will be wanted: not the neighbours of rows that are far apart."""
        if first < 0 or last >= len(self):
            raise IndexError(f"rows {first} to {last} of {len(self)}")
        if self._bytes is None:
            return
        width = self._bytes.shape[1]
        near = (last - first + 1) * width <= len(rows) * WORTH
        advice = "MADV_NORMAL" if near else "MADV_RANDOM"
        if advice != self._advice:
            self._advice = advice
            self._advise(advice)
        if self._slow and not near:  # many reads at once are faster than one after another
            starts = self._offset + rows * width
            pages = starts // mmap.PAGESIZE * mmap.PAGESIZE
            for page, end in zip(pages.tolist(), (starts + width).tolist(), strict=True):
                self._advise("MADV_WILLNEED", page, end - page)

    def _give_back(self) -> None:
        if self.nbytes <= MOST:
            return
        held = _mapped_memory()
        if held is None or held - self._others > MOST:
            self._advise("MADV_DONTNEED")
            self._others = _mapped_memory() or 0

    def _advise(self, name: str, *where: int) -> None:
        if hasattr(mmap, name):
            with suppress(OSError):  # advice need not be taken
                self._pages.madvise(getattr(mmap, name), *where)


def _mapped_memory() -> int | None:
    """Bytes of files in the memory of this process; None where the system does not say."""
    try:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[2]) * mmap.PAGESIZE
    except OSError:
        return None
