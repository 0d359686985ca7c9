"""The IDX format of MNIST and similar data sets: a magic number, the sizes, then the values.

Described at the end of http://yann.lecun.com/exdb/mnist/: two zero bytes, a byte for the type (0x08 for
unsigned bytes, the only one read here), a byte for the number of dimensions, each dimension as a big-endian
32-bit integer, and the values in C order. Often gzipped.
"""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path
from typing import IO, cast

import torch
from torch import Tensor

from isthmus.data.memory import unpack

GZIP_MAGIC = b"\x1f\x8b"
UNSIGNED_BYTES = 0x08
MOST_DIMENSIONS = 8


def read_idx(path: Path, shape: tuple[int, ...] | None = None) -> Tensor:
    """Read an IDX file of unsigned bytes, gzipped or not, as uint8.

    A gzipped file is decompressed only up to the size in its header.

    Args:
        path: the file.
        shape: the required shape, or None for any.

    Raises:
        ValueError: the file is missing, empty, truncated or not IDX, has another shape, or needs more memory
            than is available. The message is one line and names the file.
    """
    try:
        with path.open("rb") as file:
            start = file.read(len(GZIP_MAGIC))
            if not start:
                raise ValueError(f"{path} is empty")
            file.seek(0)
            if start != GZIP_MAGIC:
                return _read(file, path, shape)
            with gzip.open(file) as unpacked:
                return _read(cast(IO[bytes], unpacked), path, shape)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{path} is truncated or damaged: {error}") from error
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from error


def _read(file: IO[bytes], path: Path, shape: tuple[int, ...] | None) -> Tensor:
    magic = file.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] != UNSIGNED_BYTES or magic[3] > MOST_DIMENSIONS:
        raise ValueError(f"{path} is not an IDX file of unsigned bytes: it begins with 0x{magic.hex()}")
    header = file.read(4 * magic[3])
    if len(header) < 4 * magic[3]:
        raise ValueError(f"{path} is truncated or damaged: it ends within its header")
    sizes = [int.from_bytes(header[at : at + 4], "big") for at in range(0, len(header), 4)]
    if shape is not None and tuple(sizes) != shape:
        raise ValueError(f"{path} holds values of the shape {sizes}, not {list(shape)}")
    count, start = math.prod(sizes), len(magic) + len(header)
    values = unpack(file, count, str(path))
    found = len(values) + len(file.read(1))
    if found != count:
        more = " or more" if found > count else ""
        raise ValueError(
            f"{path} is truncated or damaged: "
            f"{sizes} values take {start + count} bytes with the header, and it has {start + found}{more}"
        )
    if not count:
        return torch.empty(sizes, dtype=torch.uint8)
    return torch.frombuffer(values, dtype=torch.uint8).reshape(sizes)
