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
from isthmus.data.formats.distinct import distinct
from isthmus.data.formats.mapped_array import MappedArray
from isthmus.data.formats.npz import PackedArray
from isthmus.data.formats.table_file import TableFile
from isthmus.data.memory import check_room

LONGEST = 1 << 16  # bytes of a string in an array
CLASS = 200  # bytes per class besides its name
_ABSENT = "none"


class _Classes:
    """Numbers distinct values in order of appearance, block by block, and sorts them at the end."""

    def __init__(self, rows: int) -> None:
        check_room(rows * np.dtype(np.int64).itemsize, "the labels")
        self._rows = np.empty(rows, np.int64)
        self._numbers: dict[Any, int] = {}
        self._size = 0

    def fill(self, start: int, values: Sequence[Any], inverse: np.ndarray) -> None:
        """Set the rows from `start` to `values[inverse]`. Raises ValueError if memory does not suffice."""
        new = dict.fromkeys(value for value in values if value not in self._numbers)
        self._size += sum(CLASS + len(str(value)) for value in new)
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


def column_classes(
    table: TableFile, label: str, key: str = "label", *, absent_class: bool = False
) -> tuple[Tensor, list[str]]:
    """Classes [N], int64, in the order of their values, and the names of the classes.

    Args:
        table: the file.
        label: the column.
        key: of the config, for messages.
        absent_class: whether rows without a value are a class, called "none".

    Raises:
        BadInput: a row has no value, and `absent_class` is False.
        ValueError: the distinct values need more memory than is available. Errors of `table`.
    """
    classes = _Classes(table.rows)
    absent = Rows()
    for start, batch in table.batches([label]):
        found = distinct(batch.column(0))
        values = [value.strip() if isinstance(value, str) else value for value in found.cells]
        missing = np.array([value is None or value == "" or value != value for value in values])
        # a class of its own, behind the others
        classes.fill(
            start,
            [(bool(no), "" if no else value) for no, value in zip(missing, values, strict=True)],
            found.inverse,
        )
        absent.add(start + missing[found.inverse].nonzero()[0])
    if absent.count and not absent_class:
        raise BadInput(key, label, f"has no value in {absent}; fill in or remove these rows")
    numbers, present = classes.result()
    return numbers, [_ABSENT if no else _name(value) for no, value in present]


def _name(value: Any) -> str:
    """The name of a class: 1 and not 1.0, as a column of whole numbers with a missing one is read."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
