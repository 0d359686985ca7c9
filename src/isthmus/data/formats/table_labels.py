"""Classes of rows from a column of integers, text or booleans."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from isthmus.common.errors import BadInput
from isthmus.common.listing import Rows
from isthmus.data.formats.table_file import CSV, Parquet
from isthmus.data.memory import check_room

CLASS = 200  # bytes per class besides its name


def classes_of(table: CSV | Parquet, label: str) -> tuple[Tensor, list[str]]:
    """Classes [N], int64, in the order of their values, and the names of the classes.

    Raises:
        BadInput: a row has no value.
        ValueError: the distinct values need more memory than is available. Errors of `table`.
    """
    import pyarrow as pa

    labels = np.empty(table.rows, np.int64)
    numbers: dict[Any, int] = {}  # of each value, in order of appearance
    absent = Rows()
    size = 0
    for start, batch in table.batches([label]):
        column = batch.column(0)
        encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
        indices = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
        used, inverse = np.unique(indices, return_inverse=True)
        values = [encoded.dictionary[at].as_py() if at >= 0 else None for at in used.tolist()]
        for value in values:
            if value not in numbers:
                numbers[value] = len(numbers)
                size += CLASS + (len(value) if isinstance(value, str) else 0)
        check_room(size, "the labels")
        labels[start : start + len(batch)] = np.array([numbers[value] for value in values])[inverse]
        missing = np.array([value is None or value == "" for value in values])
        absent.add(start + missing[inverse].nonzero()[0])
    if absent.count:
        raise BadInput("label", label, f"has no value in {absent}; fill in or remove these rows")
    classes = sorted(numbers)
    order = np.empty(len(classes), np.int64)
    order[[numbers[value] for value in classes]] = np.arange(len(classes))
    return torch.from_numpy(order[labels]), [str(name) for name in classes]
