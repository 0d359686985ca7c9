"""Mapping an array in NumPy's .npy format, alone in a file or inside a bigger one.

The format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.lib import format as npy_format

HEADERS = {(1, 0): npy_format.read_array_header_1_0, (2, 0): npy_format.read_array_header_2_0}


def map_npy(path: Path, *, start: int = 0, end: int | None = None) -> np.ndarray:
    """The array that a .npy file holds as a read-only `np.memmap`: the disk is read where it is touched.

    Args:
        path: the file.
        start: the byte at which the .npy format begins.
        end: the byte at which it must have ended; None for the end of the file.

    Raises:
        ValueError: the file is empty, truncated or not .npy, or the array is made of Python objects
            (reading those would run code).
    """
    size = path.stat().st_size
    if not size:
        raise ValueError("is an empty file")
    with path.open("rb") as file:
        file.seek(start)
        shape, fortran_order, dtype = _header(file)
        offset = file.tell()
    if dtype.hasobject:
        raise ValueError("holds Python objects, which are never unpickled; save it with a plain dtype")
    bytes_held = math.prod(shape) * dtype.itemsize
    if not bytes_held:
        return np.empty(shape, dtype)  # what has no bytes cannot be mapped
    missing = offset + bytes_held - (size if end is None else min(end, size))
    if missing > 0:
        raise ValueError(f"is truncated: {missing:,} bytes are missing")
    return np.memmap(
        path, dtype=dtype, mode="r", offset=offset, shape=shape, order="F" if fortran_order else "C"
    )


def _header(file: BinaryIO) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, order and type; leaves `file` at the first value."""
    try:
        version = npy_format.read_magic(file)
        if version in HEADERS:
            return HEADERS[version](file)
    except ValueError as error:
        raise ValueError(f"is truncated, or not in the .npy format: {error}") from error
    # 3.0 is for names of fields alone
    raise ValueError(f"is in version {version} of the .npy format; give plain numbers without fields")
