"""One pass over an array of any size: checks and hashes it, finds its range and may copy it into memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from isthmus.common.listing import Rows
from isthmus.data.formats.array_layout import Layout
from isthmus.data.formats.mapped_array import MappedArray
from isthmus.data.formats.npz import PackedArray

CHUNK = 16 << 20  # bytes read at a time


class Scan(NamedTuple):
    """Results of the pass.

    Attributes:
        lowest: the smallest value after scaling by the layout's unit; 0 for uint8.
        highest: the largest; 1 for uint8.
        sha256: of dtype, shape and bytes in C order, in hexadecimal: the same for .npy and .npz.
    """

    lowest: float
    highest: float
    sha256: str


def parts(array: np.ndarray | MappedArray | PackedArray) -> Iterator[tuple[slice, np.ndarray]]:
    """The rows of `array` in order, as slices of about `CHUNK` bytes with their values."""
    rows = len(array)
    step = max(1, CHUNK * rows // max(1, array.nbytes))
    slices = (slice(start, min(start + step, rows)) for start in range(0, rows, step))
    if isinstance(array, PackedArray):
        return zip(slices, array.blocks(step), strict=True)
    return ((part, array[part]) for part in slices)


def scan(array: np.ndarray | MappedArray | PackedArray, layout: Layout, *, into: np.ndarray | None) -> Scan:
    """Read `array` once.

    Args:
        array: memory-mapped, compressed or in memory. Shape: [N, as stored].
        layout: the conversion of its rows.
        into: receives the converted values; None for no copy. Shape: [N, *layout.shape].

    Raises:
        ValueError: values are NaN or infinite as float32; the message lists their rows. Errors of `array`.
    """
    digest = hashlib.sha256(repr((array.dtype.str, array.shape)).encode())
    lowest, highest = (0.0, 1.0) if layout.dtype == np.uint8 else (np.inf, -np.inf)
    bad = Rows()
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
            bad.add(part.start + np.flatnonzero(~finite))
    if bad.count:
        more = ", ..." if bad.count > len(bad.first) else ""
        raise ValueError(
            f"NaN, infinity or numbers beyond float32 in {bad.count} of {len(array)} rows "
            f"({', '.join(map(str, bad.first))}{more}; the first is 0); remove or fill them"
        )
    return Scan(lowest, highest, digest.hexdigest())
