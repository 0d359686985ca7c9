"""Classes of rows from an array of integers or text."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from isthmus.data.formats.array_scan import parts
from isthmus.data.formats.mapped_array import MappedArray
from isthmus.data.formats.npz import PackedArray
from isthmus.data.memory import check_room

LONGEST = 1 << 16  # bytes of a string


def classes_of(stored: np.ndarray | MappedArray | PackedArray, rows: int) -> tuple[Tensor, list[str] | None]:
    """Classes and, for text, their names in alphabetical order; integers are used unchanged.

    Args:
        stored: integers, booleans or text. Shape: [N].
        rows: N.

    Returns:
        Classes [N], int64, and the name of each class or None.

    Raises:
        ValueError: another shape or dtype, or distinct strings that need more memory than is available.
    """
    if stored.shape != (rows,):
        raise ValueError(f"has the shape {list(stored.shape)}; the data have {rows} rows, so give [{rows}]")
    if stored.dtype.kind not in "biuUS":
        raise ValueError(f"holds values of type {stored.dtype}; labels are whole numbers or text")
    if stored.dtype.kind in "US" and stored.dtype.itemsize > LONGEST:
        raise ValueError(f"holds texts of {stored.dtype.itemsize:,} bytes; shorten them to {LONGEST:,}")
    classes = np.empty(rows, np.int64)
    if stored.dtype.kind in "biu":
        for part, values in parts(stored):
            classes[part] = values
        return torch.from_numpy(classes), None
    numbers: dict[str, int] = {}  # of each string, in order of appearance
    size = 0
    for part, texts in parts(stored):
        found, inverse = np.unique(texts.astype(np.str_), return_inverse=True)
        size += found.nbytes
        check_room(size, "the labels")
        classes[part] = np.array([numbers.setdefault(name, len(numbers)) for name in found.tolist()])[inverse]
    names = sorted(numbers)
    order = np.empty(len(names), np.int64)
    order[[numbers[name] for name in names]] = np.arange(len(names))
    return torch.from_numpy(order[classes]), names
