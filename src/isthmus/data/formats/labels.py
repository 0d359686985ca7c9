"""Classes of rows, from an array or from a column of a table."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import Any

import numpy as np
import torch
from torch import Tensor

from isthmus.common.errors import BadInput
from isthmus.common.listing import Rows
from isthmus.data.formats.array_scan import parts
from isthmus.data.formats.mapped_array import MappedArray
from isthmus.data.formats.npz import PackedArray
from isthmus.data.formats.table_file import CSV, Parquet
from isthmus.data.memory import check_room

LONGEST = 1 << 16  # bytes of a string in an array
CLASS = 200  # bytes per class besides its name


class _Classes:
    """Numbers distinct values in order of appearance, block by block, and sorts them at the end."""

    def __init__(self, rows: int) -> None:
        self._rows = np.empty(rows, np.int64)
        self._numbers: dict[Any, int] = {}
        self._size = 0

    def fill(self, start: int, values: Sequence[Any], inverse: np.ndarray) -> None:
        """Set the rows from `start` to `values[inverse]`. Raises ValueError if memory does not suffice."""
        new = dict.fromkeys(value for value in values if value not in self._numbers)
        self._size += sum(CLASS + (len(value) if isinstance(value, str) else 0) for value in new)
        check_room(self._size, "the labels")
        self._numbers.update(zip(new, count(len(self._numbers))))
        self._rows[start : start + len(inverse)] = np.array([self._numbers[value] for value in values])[
            inverse
        ]

    def result(self) -> tuple[Tensor, list[Any]]:
        """Classes [N], int64, in the order of their values, and the value of each class."""
        values = sorted(self._numbers)
        order = np.empty(len(values), np.int64)
        order[[self._numbers[value] for value in values]] = np.arange(len(values))
        return torch.from_numpy(order[self._rows]), values


def array_classes(
    stored: np.ndarray | MappedArray | PackedArray, rows: int
) -> tuple[Tensor, list[str] | None]:
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
    if stored.dtype.kind in "biu":
        integers = np.empty(rows, np.int64)
        for part, values in parts(stored):
            integers[part] = values
        return torch.from_numpy(integers), None
    classes = _Classes(rows)
    for part, texts in parts(stored):
        found, inverse = np.unique(texts.astype(np.str_), return_inverse=True)
        classes.fill(part.start, found.tolist(), inverse)
    return classes.result()


def column_classes(table: CSV | Parquet, label: str) -> tuple[Tensor, list[str]]:
    """Classes [N], int64, in the order of their values, and the names of the classes.

    Raises:
        BadInput: a row has no value.
        ValueError: the distinct values need more memory than is available. Errors of `table`.
    """
    import pyarrow as pa

    classes = _Classes(table.rows)
    absent = Rows()
    for start, batch in table.batches([label]):
        column = batch.column(0)
        encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
        indices = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
        used, inverse = np.unique(indices, return_inverse=True)
        values = [encoded.dictionary[at].as_py() if at >= 0 else None for at in used.tolist()]
        classes.fill(start, values, inverse)
        missing = np.array([value is None or value == "" for value in values])
        absent.add(start + missing[inverse].nonzero()[0])
    if absent.count:
        raise BadInput("label", label, f"has no value in {absent}; fill in or remove these rows")
    numbers, names = classes.result()
    return numbers, [str(name) for name in names]
