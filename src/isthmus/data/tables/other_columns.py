"""The cells of columns that are no features: labels, identifiers, groups and times."""

from __future__ import annotations

import numpy as np

from isthmus.common.errors import BadInput
from isthmus.data.formats.distinct import distinct
from isthmus.data.formats.table_file import TableFile
from isthmus.data.memory import check_room
from isthmus.data.tables.kinds import days, kind_of
from isthmus.data.tables.preparation import Kind

REFERENCE = 8  # bytes per row
TEXT = 80  # bytes per text besides its characters


def cells_of(file: TableFile, name: str) -> np.ndarray:
    """All cells of a column: numbers as float64 with NaN for missing ones, others as text. Shape: [N]."""
    import pyarrow as pa

    if kind_of(file.schema.field(name).type) is not Kind.NUMBER:
        return texts_of(file, name)
    check_room(file.rows * REFERENCE, f"the column {name!r}")
    found = np.empty(file.rows, np.float64)
    for start, batch in file.batches([name]):
        cells = batch.column(0).cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        found[start : start + len(cells)] = cells
    return found


def texts_of(file: TableFile, name: str) -> np.ndarray:
    """All cells of a column as text, "" for missing ones; equal texts are one object. Shape: [N], object."""
    size = file.rows * REFERENCE
    check_room(size, f"the column {name!r}")
    found = np.empty(file.rows, object)
    known: dict[str, str] = {}
    for start, batch in file.batches([name]):
        batched = distinct(batch.column(0))
        texts = ["" if cell is None else str(cell).strip() for cell in batched.cells]
        size += sum(TEXT + len(text) for text in texts if text not in known)
        check_room(size, f"the column {name!r}")
        values = np.empty(len(texts), object)
        values[:] = [known.setdefault(text, text) for text in texts]
        found[start : start + len(batched.inverse)] = values[batched.inverse]
    return found


def times_of(file: TableFile, name: str, date_format: str | None) -> np.ndarray:
    """The cells of a column of dates or numbers, which order the rows. Shape: [N], float64.

    Args:
        file: the table.
        name: of the column.
        date_format: of dates that are text, as in strptime; None for none.

    Raises:
        BadInput: the column holds something else, or a cell is missing.
    """
    from pyarrow import ArrowInvalid

    type_ = file.schema.field(name).type
    kind = kind_of(type_)
    if kind is Kind.NUMBER:
        times = cells_of(file, name)
    elif kind is Kind.DATE or (kind is Kind.CATEGORY and date_format):
        try:
            times = np.concatenate([days(batch.column(0), date_format) for _, batch in file.batches([name])])
        except ArrowInvalid as error:
            fix = f"has other texts than dates of this format, in the column {name!r}"
            raise BadInput("date_format", date_format, fix) from error
    else:
        fix = f"holds {type_}; it must have numbers, or dates as 2024-12-31 or in data.date_format"
        raise BadInput("time_column", name, fix)
    if np.isnan(times).any():
        raise BadInput(
            "time_column", name, f"has no value in {np.isnan(times).sum()} rows; fill in or remove these"
        )
    return times


def check_label(file: TableFile, name: str) -> None:
    """Raise `BadInput` for a column of labels that are neither whole numbers, text nor true/false."""
    import pyarrow as pa

    type_ = file.schema.field(name).type
    kind = kind_of(type_)
    whole = pa.types.is_integer(type_) or pa.types.is_null(type_) or pa.types.is_dictionary(type_)
    if pa.types.is_floating(type_):  # as whole numbers are read where some are missing
        cells = cells_of(file, name)
        present = cells[~np.isnan(cells)]
        whole = bool((present == np.rint(present)).all())
    if kind not in (Kind.CATEGORY, Kind.BOOLEAN) and not whole:
        raise BadInput("label", name, f"holds {type_}; a label is whole numbers, text or true/false")


def release_arrow_memory() -> None:
    """Return the unused memory of Arrow's pool to the system."""
    import pyarrow as pa

    pa.default_memory_pool().release_unused()
