"""The arrays of an .npz file, which is a zip archive of .npy files.

A member that `numpy.savez` stored as it is (uncompressed) is mapped where it lies in the archive; NumPy
itself reads it whole. Zip: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT, section 4.3.7.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from zipfile import ZIP_STORED, BadZipFile, ZipFile, ZipInfo

import numpy as np

from isthmus.data.npy import map_npy

SUFFIX = ".npy"
LOCAL_HEADER = 30  # bytes before the name of a member; the last four are the lengths of name and extra field
ENCRYPTED = 0x1


def array_names(path: Path) -> list[str]:
    """The arrays in the file, in its order.

    Raises:
        ValueError: the file is empty, truncated or no zip archive.
    """
    if not path.stat().st_size:
        raise ValueError("is an empty file")
    try:
        with ZipFile(path) as archive:
            return [name.removesuffix(SUFFIX) for name in archive.namelist() if name.endswith(SUFFIX)]
    except BadZipFile as error:
        raise ValueError(f"is truncated, or no .npz file: {error}") from error


def read_array(path: Path, name: str) -> np.ndarray:
    """One of `array_names`: a read-only `np.memmap` if it is stored uncompressed, else read into memory.

    Raises:
        ValueError: it is damaged, encrypted or made of Python objects.
    """
    try:
        with ZipFile(path) as archive:
            member = archive.getinfo(name + SUFFIX)
            if member.compress_type == ZIP_STORED and not member.flag_bits & ENCRYPTED:
                start = _start(path, member)
                return map_npy(path, start=start, end=start + member.file_size)
            with archive.open(member) as file:
                return np.lib.format.read_array(file, allow_pickle=False)
    except (
        BadZipFile,
        EOFError,
        zlib.error,
        RuntimeError,
    ) as error:  # RuntimeError: encrypted, other methods
        raise ValueError(f"the array {name} cannot be read: {error}") from error


def _start(path: Path, member: ZipInfo) -> int:
    """The byte at which the content of `member` begins."""
    with path.open("rb") as file:
        file.seek(member.header_offset)
        name, extra = struct.unpack("<HH", file.read(LOCAL_HEADER)[-4:])
    return member.header_offset + LOCAL_HEADER + name + extra
