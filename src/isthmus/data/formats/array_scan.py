"""One pass over an array of any size: checked, measured, hashed and, if asked, copied into memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from isthmus.data.formats.array_layout import Layout
from isthmus.data.formats.mapped_array import MappedArray
from isthmus.data.formats.npz import PackedArray
from isthmus.data.listing import SHOWN

CHUNK = 16 << 20  # bytes looked at together


class Scan(NamedTuple):
    """What the pass found.

    Attributes:
        lowest: the smallest value the model can meet.
        highest: the largest.
        sha256: of dtype, shape and bytes in C order, in hexadecimal: the same for .npy and .npz.
    """

    lowest: float
    highest: float
    sha256: str


def chunks(rows: int, row_bytes: int) -> Iterator[slice]:
    """Slices of `rows` that hold about `CHUNK` bytes each, and at least one row."""
    step = max(1, CHUNK // row_bytes)
    return (slice(start, min(start + step, rows)) for start in range(0, rows, step))


def parts(array: np.ndarray | MappedArray | PackedArray) -> Iterator[tuple[slice, np.ndarray]]:
    """The rows of `array` in order, in parts of about `CHUNK` bytes, and where each part belongs."""
    row_bytes = max(1, array.nbytes // len(array))
    if isinstance(array, PackedArray):
        blocks = array.blocks(max(1, CHUNK // row_bytes))
        return zip(chunks(len(array), row_bytes), blocks, strict=True)
    return ((part, array[part]) for part in chunks(len(array), row_bytes))


def scan(array: np.ndarray | MappedArray | PackedArray, layout: Layout, *, into: np.ndarray | None) -> Scan:
    """Read `array` once.

    Args:
        array: mapped, compressed or in memory. Shape: [N, as stored].
        layout: what is made of it.
        into: receives the values; None to leave them where they are. Shape: [N, *layout.shape].

    Raises:
        ValueError: some values are NaN or infinite as float32; says in which rows. What `array` raises.
    """
    digest = hashlib.sha256(repr((array.dtype.str, array.shape)).encode())
    lowest, highest = (0.0, 1.0) if layout.dtype == np.uint8 else (np.inf, -np.inf)
    bad_rows: list[int] = []
    bad = 0
    for part, stored in parts(array):
        digest.update(np.ascontiguousarray(stored).reshape(-1).view(np.uint8).data)
        values = layout.apply(stored)
        if into is not None:
            into[part] = values
        if layout.dtype == np.uint8:
            continue
        low, high = float(values.min()), float(values.max())
        if np.isfinite(low) and np.isfinite(high):  # NaN anywhere makes both NaN
            lowest, highest = min(lowest, low), max(highest, high)
        else:
            finite = np.isfinite(values.reshape(len(values), -1)).all(axis=1)
            found = part.start + np.flatnonzero(~finite)
            bad += len(found)
            bad_rows += found[: SHOWN - len(bad_rows)].tolist()
    if bad:
        more = ", ..." if bad > SHOWN else ""
        raise ValueError(
            f"NaN, infinity or numbers beyond float32 in {bad} of {len(array)} rows "
            f"({', '.join(map(str, bad_rows))}{more}; the first is 0); remove or fill them"
        )
    return Scan(lowest, highest, digest.hexdigest())
