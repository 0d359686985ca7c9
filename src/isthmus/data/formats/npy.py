"""Maps an array in NumPy's .npy format, which is a file or a part of one.

Format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
"""

from __future__ import annotations

import io
import math
import warnings
from pathlib import Path
from tokenize import TokenError
from typing import IO

import numpy as np
from numpy.lib import format as npy_format

from isthmus.data.formats.mapped_array import MappedArray

# what NumPy raises for damaged or malicious headers
STRANGE = (ValueError, TokenError, SyntaxError, TypeError, LookupError, RecursionError, MemoryError)
# by version: bytes of the length of the header, and NumPy's parser of length and header
HEADERS = {
    (1, 0): (2, npy_format.read_array_header_1_0),
    (2, 0): (4, npy_format.read_array_header_2_0),
}
LONGEST_HEADER = 1 << 16  # bytes; NumPy has a lower limit, but checks it after reading the header


def map_npy(path: Path, *, start: int = 0, end: int | None = None) -> np.ndarray | MappedArray:
    """Map the array in a .npy file. An array without bytes cannot be mapped and is an ordinary array.

    Args:
        path: the file.
        start: byte at which the .npy format begins.
        end: byte at which it ends at the latest; None for the end of the file.

    Raises:
        ValueError: the file is empty, truncated or not .npy, or the array has Python objects, whose
            unpickling could execute code.
    """
    size = path.stat().st_size
    if not size:
        raise ValueError("is an empty file")
    with path.open("rb") as file:
        file.seek(start)
        shape, fortran_order, dtype = read_header(file)
        offset = file.tell()
    bytes_held = math.prod(shape) * dtype.itemsize
    if not bytes_held:
        return np.empty(shape, dtype)
    missing = offset + bytes_held - (size if end is None else min(end, size))
    if missing > 0:
        raise ValueError(f"is truncated: {missing:,} bytes are missing")
    return MappedArray(path, offset=offset, shape=shape, dtype=dtype, order="F" if fortran_order else "C")


def read_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Read shape, whether the order is Fortran's, and dtype; leaves `file` at the first value.

    Raises:
        ValueError: it is truncated or not .npy, or the array has Python objects.
    """
    try:
        version = npy_format.read_magic(file)
        if version in HEADERS:
            width, parse = HEADERS[version]
            length = file.read(width)
            header = file.read(min(LONGEST_HEADER, int.from_bytes(length, "little")))
            with warnings.catch_warnings(action="ignore"):  # about files of Python 2
                shape, fortran_order, dtype = parse(io.BytesIO(length + header))
    except STRANGE as error:
        raise ValueError(f"is truncated, or not in the .npy format: {str(error)[:200]}") from error
    if version not in HEADERS:  # 3.0 differs only in the names of fields
        raise ValueError(f"is in version {version} of the .npy format; give plain numbers without fields")
    if dtype.hasobject:
        raise ValueError("holds Python objects, which are never unpickled; save it with a plain dtype")
    if any(size < 0 for size in shape):
        raise ValueError(f"is damaged: its shape is {list(shape)}")
    return shape, fortran_order, dtype
