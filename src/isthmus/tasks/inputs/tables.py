"""Examples in a table in memory, whose columns are found by name."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from isthmus.common.errors import BadInput
from isthmus.common.messages import first_line
from isthmus.data.formats.table_file import HeldTable
from isthmus.data.tables.kinds import kind_of
from isthmus.data.tables.preparation import Kind, Preparation
from isthmus.data.tables.table_source import TableSource
from isthmus.data.tables.treatment import Treatment, for_new_rows
from isthmus.tasks.inputs.arrays import as_array
from isthmus.tasks.inputs.examples import Accepted, Examples, is_frame
from isthmus.tasks.inputs.sources import TableExamples

if TYPE_CHECKING:
    import pyarrow as pa

DAY = 86_400_000  # milliseconds
FARTHEST = 1e10  # days: milliseconds of dates are 64 bits


def is_table(x: Any) -> bool:
    """Whether `x` is a table with named columns: of pandas, pyarrow, polars or the like, or dicts."""
    if is_frame(x) or isinstance(x, Mapping):
        return True
    if isinstance(x, list | tuple):
        return bool(x) and all(isinstance(row, Mapping) for row in x)
    return hasattr(x, "__arrow_c_stream__") and not hasattr(x, "iloc")  # as a column of pandas has


def table_examples(x: Any, accepted: Accepted) -> Examples:
    """The rows of a table, prepared as in training.

    Args:
        x: a table of pandas, pyarrow or polars, a dict of columns or a list of dicts; or an array [N, C] with
            the columns in the order of training.
        accepted: by a model that was trained on a table.

    Raises:
        BadInput: a column is missing or repeated, or a cell is missing or cannot be read as in training.
    """
    record = accepted.record
    assert record is not None
    given = is_table(x)
    table = as_arrow(x) if given else _named(x, record.preparation)
    keys = accepted.data
    table = _with_text_read(table, record.preparation, dates=keys.get("date_format") is None)
    try:
        source = TableSource(
            HeldTable(table),
            path="x",
            content=hashlib.sha256(),
            how={},
            roles={key: keys.get(key) for key in ("label", "id")},
            columns=None,
            drop=(),
            treatment=Treatment.of_run(for_new_rows(keys)),
            in_memory=True,
            known=record,
        )
    except BadInput as error:
        if (error.key, error.value) != ("path", "x"):
            raise
        raise BadInput("x", type(x).__name__, error.fix) from error

    def like_x(made: pa.Table) -> Any:
        if not given:
            return _columns(made)
        return made.to_pandas().set_index(x.index) if is_frame(x) else made

    def restore(stored: Tensor) -> Any:
        return like_x(decoded(record.preparation, stored))

    return TableExamples(source, accepted, restore=restore, like=like_x)


def as_arrow(x: Any) -> pa.Table:
    """A table of pandas, pyarrow, polars or the like, a dict of columns or a list of dicts as one of pyarrow.

    Raises:
        BadInput: it is empty, or cannot be converted.
    """
    import pyarrow as pa

    try:
        if is_frame(x):
            table = pa.Table.from_pandas(x, preserve_index=False)
        else:
            table = pa.Table.from_pylist(list(x)) if isinstance(x, list | tuple) else pa.table(x)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise BadInput("x", type(x).__name__, f"cannot be read as a table ({first_line(error)})") from error
    if not table.num_rows:
        raise BadInput("x", "a table without rows", "is empty; give at least one row")
    return table


def decoded(preparation: Preparation, stored: Tensor) -> pa.Table:
    """Unscaled features as a table with the columns of training; rows with a NaN are empty. Shape: [N, F]."""
    import pyarrow as pa

    kinds = {column.name: column.kind for column in preparation.columns}
    columns = {}
    absent = stored.isnan().any(1).numpy()
    mask = absent if absent.any() else None
    for name, cells in preparation.decode(stored.double().nan_to_num(0.0).numpy()).items():
        if kinds[name] is Kind.DATE:
            days = np.clip(cells.astype(np.float64), -FARTHEST, FARTHEST)
            cells = np.rint(days * DAY).astype("datetime64[ms]")
        columns[name] = pa.array(cells, mask=mask)
    return pa.table(columns)


def _with_text_read(table: pa.Table, preparation: Preparation, *, dates: bool) -> pa.Table:
    """The table with the text of columns that were numbers, true/false or dates in training read as such, as
    that of files is.

    Args:
        table: as given.
        preparation: of the run.
        dates: whether dates are in ISO 8601; others are read later.
    """
    import pyarrow as pa
    from pyarrow import compute

    types = {Kind.NUMBER: pa.float64(), Kind.BOOLEAN: pa.bool_()}
    types |= {Kind.DATE: pa.timestamp("us")} if dates else {}
    for column in preparation.columns:
        at = table.schema.get_field_index(column.name)
        if at < 0 or column.kind not in types or kind_of(table.schema.field(at).type) is not Kind.CATEGORY:
            continue
        text = compute.utf8_trim_whitespace(table.column(at).cast(pa.string()))
        text = compute.if_else(compute.equal(text, ""), pa.scalar(None, pa.string()), text)
        try:
            table = table.set_column(at, column.name, text.cast(types[column.kind]))
        except pa.ArrowInvalid as error:
            fix = f"has text, and the run was trained on a {column.kind} ({first_line(error)})"
            raise BadInput("x", column.name, fix) from error
    return table


def _named(x: Any, preparation: Preparation) -> pa.Table:
    """The columns of an array, named as in training."""
    import pyarrow as pa

    names: Sequence[str] = [column.name for column in preparation.columns]
    array = as_array("x", x)
    if array.ndim == 1 and hasattr(x, "iloc"):
        raise BadInput("x", type(x).__name__, "is one row or column; give a table: x.to_frame().T is one row")
    if array.shape == (len(names),):
        raise BadInput("x", f"shape {list(array.shape)}", "is one row; give a batch: x[None]")
    if array.ndim != 2 or array.shape[1] != len(names) or not len(array):
        fix = f"must be [N, {len(names)}], the columns of training in their order; or give a table with names"
        raise BadInput("x", f"shape {list(array.shape)}", fix)
    if array.dtype.kind not in "biufUO":
        raise BadInput("x", f"values of type {array.dtype}", "must be numbers or text")
    try:
        cells = [pa.array(column.tolist() if array.dtype == object else column) for column in array.T]
    except pa.ArrowException as error:
        raise BadInput("x", type(x).__name__, f"has cells of several types ({first_line(error)})") from error
    return pa.table(cells, names=list(names))


def _columns(table: pa.Table) -> np.ndarray:
    """A table as an array: of numbers if all columns are, or else of objects. Shape: [N, C]."""
    columns = [column.to_numpy() for column in table.columns]
    return np.stack(columns, axis=1)
