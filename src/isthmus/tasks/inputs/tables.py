"""Examples in a table in memory, whose columns are found by name."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from isthmus.common.errors import BadInput
from isthmus.data.formats.table_file import HeldTable
from isthmus.data.tables.fitting import Settings
from isthmus.data.tables.kinds import Rules, kind_of
from isthmus.data.tables.preparation import Kind, Preparation
from isthmus.data.tables.table_source import TableSource
from isthmus.tasks.inputs.examples import Accepted, Examples
from isthmus.tasks.inputs.sources import SourceExamples

if TYPE_CHECKING:
    import pyarrow as pa

DAY = 86_400_000  # milliseconds


def is_table(x: Any) -> bool:
    """Whether `x` is a table with named columns: of pandas, pyarrow, polars or the like."""
    return hasattr(x, "__arrow_c_stream__") or (hasattr(x, "columns") and hasattr(x, "iloc"))


def table_examples(x: Any, accepted: Accepted) -> Examples:
    """The rows of a table, prepared as in training.

    Args:
        x: a table of pandas, pyarrow or polars; or an array [N, C] with the columns in the order of training.
        accepted: by a model that was trained on a table.

    Raises:
        BadInput: a column is missing or repeated, or a cell is missing or cannot be read as in training.
    """
    record = accepted.record
    assert record is not None
    given = is_table(x)
    table = as_arrow(x) if given else _named(x, record.preparation)
    keys = accepted.data
    if keys.get("date_format") is None:
        table = _with_dates(table, record.preparation)
    roles = {key: keys.get(key) for key in ("label", "id")}
    source = TableSource(
        HeldTable(table),
        path="x",
        content=hashlib.sha256(),
        how={},
        roles=roles,
        columns=None,
        drop=(),
        rules=Rules.of(
            categorical=keys.get("categorical", "onehot"),
            most_categories=keys.get("max_categories", 50),
            dates=keys.get("dates", "drop"),
            date_format=keys.get("date_format"),
            chosen=True,
            prune=False,
        ),
        settings=Settings.of(
            missing=keys.get("missing", "refuse"),
            scaling=keys.get("scaling", "standardize"),
            clip=keys.get("clip"),
        ),
        unseen=keys.get("unseen", "zero"),
        in_memory=True,
        known=record,
    )
    source.scaling(torch.arange(len(source)))

    def restore(stored: Tensor) -> Any:
        made = decoded(record.preparation, stored)
        if not given:
            return _columns(made)
        return made.to_pandas().set_index(x.index) if hasattr(x, "iloc") else made

    return SourceExamples(source, accepted, restore=restore)


def as_arrow(x: Any) -> pa.Table:
    """A table of pandas, pyarrow, polars or the like as one of pyarrow.

    Raises:
        BadInput: it is empty, or cannot be converted.
    """
    import pyarrow as pa

    try:
        table = pa.Table.from_pandas(x, preserve_index=False) if hasattr(x, "iloc") else pa.table(x)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise BadInput("x", type(x).__name__, f"cannot be read as a table ({error})") from error
    if not table.num_rows:
        raise BadInput("x", "a table without rows", "is empty; give at least one row")
    return table


def decoded(preparation: Preparation, stored: Tensor) -> pa.Table:
    """Unscaled features as a table with the columns of training. Shape: [N, F]."""
    import pyarrow as pa

    kinds = {column.name: column.kind for column in preparation.columns}
    columns = {}
    for name, cells in preparation.decode(stored.double().numpy()).items():
        if kinds[name] is Kind.DATE:
            cells = np.rint(cells.astype(np.float64) * DAY).astype("datetime64[ms]")
        columns[name] = pa.array(cells)
    return pa.table(columns)


def _with_dates(table: pa.Table, preparation: Preparation) -> pa.Table:
    """The table with text in ISO 8601 as dates, as files are read, in columns that were dates in training."""
    import pyarrow as pa

    names = {column.name for column in preparation.columns if column.kind is Kind.DATE}
    for at, field in enumerate(table.schema):
        if field.name in names and kind_of(field.type) is Kind.CATEGORY:
            with suppress(pa.ArrowInvalid):  # no dates: refused with the other columns of a wrong type
                table = table.set_column(at, field.name, table.column(at).cast(pa.timestamp("us")))
    return table


def _named(x: Any, preparation: Preparation) -> pa.Table:
    """The columns of an array, named as in training."""
    import pyarrow as pa

    array = x.detach().cpu().numpy() if isinstance(x, Tensor) else np.asarray(x)
    names: Sequence[str] = [column.name for column in preparation.columns]
    if array.ndim != 2 or array.shape[1] != len(names) or not len(array):
        fix = f"must be [N, {len(names)}], the columns of training in their order; or give a table with names"
        raise BadInput("x", f"shape {list(array.shape)}", fix)
    cells = [pa.array(column.tolist() if array.dtype == object else column) for column in array.T]
    return pa.table(cells, names=list(names))


def _columns(table: pa.Table) -> np.ndarray:
    """A table as an array: of numbers if all columns are, or else of objects. Shape: [N, C]."""
    columns = [column.to_numpy() for column in table.columns]
    return np.stack(columns, axis=1)
