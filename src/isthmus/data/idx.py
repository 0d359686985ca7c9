"""The IDX format of MNIST and its kin: a magic number, the sizes, then the bytes.

Described at the end of http://yann.lecun.com/exdb/mnist/: two zero bytes, a byte for the type (0x08 for
unsigned bytes, the only one read here), a byte for the number of dimensions, each dimension as a big-endian
32-bit integer, and the values in C order. Often gzipped.
"""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

GZIP_MAGIC = b"\x1f\x8b"
UNSIGNED_BYTES = 0x08


def read_idx(path: Path) -> Tensor:
    """The array in an IDX file of unsigned bytes, gzipped or not, as uint8. Shape: what the file says.

    Raises:
        ValueError: the file is missing, empty, truncated or not IDX; says so in one line and names it.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from error
    if not raw:
        raise ValueError(f"{path} is empty")
    if raw.startswith(GZIP_MAGIC):
        try:
            raw = gzip.decompress(raw)
        except (EOFError, OSError, zlib.error) as error:
            raise ValueError(f"{path} is truncated or damaged: {error}") from error
    if len(raw) < 4 or raw[:2] != b"\0\0" or raw[2] != UNSIGNED_BYTES:
        raise ValueError(f"{path} is not an IDX file of unsigned bytes: it begins with 0x{raw[:4].hex()}")
    start = 4 + 4 * raw[3]
    sizes = [int.from_bytes(raw[at : at + 4], "big") for at in range(4, start, 4)]
    if len(raw) != start + math.prod(sizes):
        raise ValueError(
            f"{path} is truncated or damaged: "
            f"{sizes} values take {start + math.prod(sizes)} bytes with the header, and it has {len(raw)}"
        )
    return torch.from_numpy(np.frombuffer(raw, np.uint8, offset=start).copy()).reshape(sizes)
