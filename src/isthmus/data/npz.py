"""The arrays of an .npz file, which is a zip archive of .npy files.

A member that `numpy.savez` stored as it is (uncompressed) is mapped where it lies in the archive; NumPy
itself reads it whole. Zip: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT, section 4.3.7.
"""

from __future__ import annotations

import math
import struct
import zlib
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

import numpy as np

from isthmus.data.mapped import MappedArray
from isthmus.data.memory import unpack
from isthmus.data.npy import map_npy, read_header

SUFFIX = ".npy"
LOCAL_HEADER = 30  # bytes before the name of a member; the last four are the lengths of name and extra field
ENCRYPTED = 0x1
# what damaged archives raise; RuntimeError: encrypted
UNREADABLE = (BadZipFile, EOFError, OSError, RuntimeError, struct.error, zlib.error)


def array_names(path: Path) -> list[str]:
    """The arrays in the file, in its order.

    Raises:
        ValueError: the file is empty, truncated or no zip archive, or holds two arrays of one name or one
            whose name leads elsewhere.
    """
    if not path.stat().st_size:
        raise ValueError("is an empty file")
    try:
        with ZipFile(path) as archive:
            names = [name.removesuffix(SUFFIX) for name in archive.namelist() if name.endswith(SUFFIX)]
    except UNREADABLE as error:
        raise ValueError(f"is truncated, or no .npz file: {error}") from error
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"holds two arrays called {twice}")
    for name in names:
        if name.startswith("/") or ".." in name.split("/"):
            raise ValueError(f"holds the array {name}, a name that leads out of it")
    return names


def read_array(path: Path, name: str) -> np.ndarray | MappedArray:
    """One of `array_names`: mapped if it is stored uncompressed, else read into memory.

    Raises:
        ValueError: it is damaged, encrypted, made of Python objects, or unpacks to more than half of the
            memory that is free.
    """
    try:
        with ZipFile(path) as archive:
            member = archive.getinfo(name + SUFFIX)
            if member.compress_type == ZIP_STORED and not member.flag_bits & ENCRYPTED:
                start = _start(path, member)
                return map_npy(path, start=start, end=start + member.file_size)
            if member.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
                # zipfile would unpack others in pieces of any size
                raise ValueError(f"the array {name} is packed by another method than NumPy's")
            with archive.open(member) as file:
                shape, fortran_order, dtype = read_header(file)
                held = math.prod(shape) * dtype.itemsize
                if file.tell() + held != member.file_size:
                    raise ValueError(
                        f"the array {name} is damaged: it says {held:,} bytes, and the archive has "
                        f"{member.file_size - file.tell():,}"
                    )
                content = unpack(file, held, f"the array {name}")
                if not held:
                    return np.empty(shape, dtype)
                if len(content) < held:
                    raise EOFError("it ends early")
                return np.frombuffer(content, dtype).reshape(shape, order="F" if fortran_order else "C")
    except UNREADABLE as error:
        raise ValueError(f"the array {name} cannot be read: {error}") from error


def _start(path: Path, member: ZipInfo) -> int:
    """The byte at which the content of `member` begins."""
    with path.open("rb") as file:
        file.seek(member.header_offset)
        name, extra = struct.unpack("<HH", file.read(LOCAL_HEADER)[-4:])
    return member.header_offset + LOCAL_HEADER + name + extra
