"""One pass over an array of any size: checked, measured, hashed and, if asked, copied into memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from isthmus.data.array_layout import Layout
from isthmus.data.mapped import MappedArray

CHUNK = 16 << 20  # bytes looked at together
SHOWN = 5  # row numbers that a message lists


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


def scan(array: np.ndarray | MappedArray, layout: Layout, *, into: np.ndarray | None) -> Scan:
    """Read `array` once.

    Args:
        array: mapped or in memory. Shape: [N, as stored].
        layout: what is made of it.
        into: receives the values; None to leave them where they are. Shape: [N, *layout.shape].

    Raises:
        ValueError: some values are NaN or infinite as float32; says in which rows.
    """
    digest = hashlib.sha256(repr((array.dtype.str, array.shape)).encode())
    lowest, highest = (0.0, 1.0) if layout.dtype == np.uint8 else (np.inf, -np.inf)
    bad_rows: list[int] = []
    bad = 0
    for part in chunks(len(array), array[:1].nbytes):
        stored = array[part]
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
