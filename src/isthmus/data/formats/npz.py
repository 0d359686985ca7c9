"""The arrays of an .npz file, which is a zip archive of .npy files.

Uncompressed members (`numpy.savez`) are memory-mapped inside the archive, which NumPy does not support.
Zip: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT, section 4.3.7.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

import numpy as np

from isthmus.data.formats.mapped_array import MappedArray
from isthmus.data.formats.npy import map_npy, read_header
from isthmus.data.memory import unpack

SUFFIX = ".npy"
LOCAL_HEADER = 30  # bytes before a member's name; the last four are the lengths of name and extra field
ENCRYPTED = 0x1
# what damaged archives raise; encrypted ones raise RuntimeError
UNREADABLE = (BadZipFile, EOFError, OSError, RuntimeError, struct.error, zlib.error)


def array_names(path: Path) -> list[str]:
    """Names of the arrays in the file, in its order.

    Raises:
        ValueError: the file is empty, truncated or not a zip archive, or two arrays have the same name, or a
            name is an absolute path or has "..".
    """
    if not path.stat().st_size:
        raise ValueError("is an empty file")
    try:
        with ZipFile(path) as archive:
            names = [name.removesuffix(SUFFIX) for name in archive.namelist() if name.endswith(SUFFIX)]
    except UNREADABLE as error:
        raise ValueError(f"is truncated, or no .npz file: {error}") from error
    if twice := next((name for name, count in Counter(names).items() if count > 1), None):
        raise ValueError(f"holds two arrays called {twice}")
    for name in names:
        if name.startswith("/") or ".." in name.split("/"):
            raise ValueError(f"holds the array {name}, a name that leads out of it")
    return names


class PackedArray:
    """A compressed array [N, ...] in an .npz file, decompressed in blocks of rows that are not kept.

    Args:
        path: the .npz file.
        name: of the array.

    Attributes:
        shape, dtype, nbytes: as in the header.
        held: bytes that `blocks` needs besides a block: the whole array if it is in Fortran order, else 0.

    Raises:
        ValueError: it is damaged, encrypted or has Python objects.
    """

    def __init__(self, path: Path, name: str) -> None:
        self._path, self._name = path, name
        with self._opened() as (file, size):
            self.shape, fortran_order, self.dtype = read_header(file)
            start = file.tell()
        self.nbytes = math.prod(self.shape) * self.dtype.itemsize
        self.held = self.nbytes if fortran_order and len(self.shape) > 1 else 0
        if start + self.nbytes != size:
            raise ValueError(
                f"the array {name} is damaged: it says {self.nbytes:,} bytes, and the archive has "
                f"{size - start:,}"
            )

    def __len__(self) -> int:
        return self.shape[0]

    def blocks(self, step: int) -> Iterator[np.ndarray]:
        """The rows in order, at most `step` at a time. Shape: [step, ...].

        Raises:
            ValueError: it cannot be decompressed, ends early or has a wrong checksum.
        """
        with self._opened() as (file, _):
            read_header(file)
            if self.held:
                array = self._unpacked(file, self.shape[::-1]).T
                yield from (array[start : start + step] for start in range(0, len(self), step))
                return
            for start in range(0, len(self), step):
                yield self._unpacked(file, (min(step, len(self) - start), *self.shape[1:]))

    def _unpacked(self, file: IO[bytes], shape: tuple[int, ...]) -> np.ndarray:
        size = math.prod(shape) * self.dtype.itemsize
        content = unpack(file, size, f"the array {self._name}")
        if len(content) < size:
            raise EOFError("it ends early")
        return np.frombuffer(content, self.dtype).reshape(shape)

    @contextmanager
    def _opened(self) -> Iterator[tuple[IO[bytes], int]]:
        """The open member and its size in bytes."""
        try:
            with ZipFile(self._path) as archive, archive.open(self._name + SUFFIX) as file:
                yield file, archive.getinfo(self._name + SUFFIX).file_size
        except UNREADABLE as error:
            raise ValueError(f"the array {self._name} cannot be read: {error}") from error


def open_array(path: Path, name: str) -> np.ndarray | MappedArray | PackedArray:
    """Open one of `array_names`; uncompressed arrays are memory-mapped.

    Raises:
        ValueError: it is damaged, encrypted or has Python objects.
    """
    try:
        with ZipFile(path) as archive:
            member = archive.getinfo(name + SUFFIX)
        if member.compress_type == ZIP_STORED and not member.flag_bits & ENCRYPTED:
            start = _start(path, member)
            return map_npy(path, start=start, end=start + member.file_size)
    except UNREADABLE as error:
        raise ValueError(f"the array {name} cannot be read: {error}") from error
    if member.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
        # with other methods, zipfile does not limit the size of decompressed chunks
        raise ValueError(f"the array {name} is compressed with another method than NumPy's")
    return PackedArray(path, name)


def _start(path: Path, member: ZipInfo) -> int:
    """Byte at which the content of `member` begins."""
    with path.open("rb") as file:
        file.seek(member.header_offset)
        name, extra = struct.unpack("<HH", file.read(LOCAL_HEADER)[-4:])
    return member.header_offset + LOCAL_HEADER + name + extra
