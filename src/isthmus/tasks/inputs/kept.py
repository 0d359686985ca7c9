"""Keeps data in memory as files, so that a run on them can be resumed, reproduced and evaluated.

They are written to the cache once, under the hash of their content, for the user alone to read. The run
folder has their path; the model file has neither the data nor the path.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from isthmus.common.atomic_files import replacing
from isthmus.common.errors import BadInput
from isthmus.data.examples import cache_folder
from isthmus.runs.config.compose import quoted
from isthmus.tasks.inputs.tables import as_arrow, is_table

if TYPE_CHECKING:
    import pyarrow as pa

LABEL = "label"  # column that labels of a table are put into
FOLDER = "data"  # in the cache
DIGITS = 32  # of the hash


def keep(data: Any, labels: Any = None) -> list[str]:
    """Keep data, and return the overrides with which `isthmus train` reads them.

    Args:
        data: an array or a tensor of features [N, F] or images, or a table of pandas, pyarrow or polars.
        labels: classes, which are never trained on: an array [N] of whole numbers or text; of a table, also
            the name of a column. None for none.

    Raises:
        BadInput: they cannot be read as such data, or the cache cannot be written.
    """
    try:
        return _table(data, labels) if is_table(data) else _array(data, labels)
    except OSError as error:
        folder = cache_folder(FOLDER)
        fix = f"cannot be written ({error.strerror}); set XDG_CACHE_HOME to a folder you can write to"
        raise BadInput("data", folder, fix) from error


def _array(data: Any, labels: Any) -> list[str]:
    given = ["data=arrays", f"data.path={quoted(_keep_array(_as_array('data', data)))}"]
    if labels is None:
        return given
    if isinstance(labels, str):
        raise BadInput("labels", labels, "names a column, and data is an array; give an array of labels")
    return [*given, f"data.labels={quoted(_keep_array(_as_array('labels', labels)))}"]


def _table(data: Any, labels: Any) -> list[str]:
    try:
        table = as_arrow(data)
    except BadInput as error:
        raise BadInput("data", error.value, error.fix) from error
    name = labels if isinstance(labels, str) else None
    if labels is not None and name is None:
        if LABEL in table.column_names:
            fix = f"data has a column of this name; give labels={LABEL!r}, or rename the column"
            raise BadInput("labels", LABEL, fix)
        name, cells = LABEL, _as_array("labels", labels)
        if cells.shape != (table.num_rows,):
            raise BadInput("labels", f"shape {list(cells.shape)}", f"must be [{table.num_rows}], one per row")
        table = table.append_column(name, [cells.tolist()])
    given = ["data=table", f"data.path={quoted(_keep_table(table))}"]
    return given if name is None else [*given, f"data.label={quoted(name)}"]


def _as_array(key: str, x: Any) -> np.ndarray:
    """An array of numbers or text."""
    if isinstance(x, Tensor):
        x = x.detach().cpu()
        x = (x if x.dtype.is_complex or x.element_size() != 2 else x.float()).numpy()
    try:
        array = np.asarray(x)
    except ValueError as error:
        raise BadInput(key, type(x).__name__, f"is no array ({error})") from error
    if array.dtype == object and array.ndim == 1 and key == "labels":
        array = array.astype(str)
    kinds, what = ("biuf", "numbers") if key == "data" else ("biufU", "whole numbers or text")
    if array.dtype.kind not in kinds:
        raise BadInput(key, f"values of type {array.dtype}", f"must be {what}")
    return array


def _keep_array(array: np.ndarray) -> Path:
    array = np.ascontiguousarray(array)
    digest = hashlib.sha256(repr((array.dtype.str, array.shape)).encode())
    digest.update(array.data if array.dtype.kind != "U" else array.tobytes())
    return _keep(f"{digest.hexdigest()[:DIGITS]}.npy", lambda file: np.save(file, array, allow_pickle=False))


def _keep_table(table: pa.Table) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    content = io.BytesIO()
    try:
        pq.write_table(table.replace_schema_metadata(None), content)
    except pa.ArrowException as error:
        raise BadInput("data", type(table).__name__, f"cannot be written as Parquet ({error})") from error
    digest = hashlib.sha256(content.getbuffer()).hexdigest()
    return _keep(f"{digest[:DIGITS]}.parquet", lambda file: file.write(content.getbuffer()))


def _keep(name: str, write: Callable[[IO[bytes]], object]) -> Path:
    path = (cache_folder(FOLDER) / name).absolute()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.parent.chmod(0o700)
    if not path.exists():
        with replacing(path) as beside, beside.open("wb") as file:
            write(file)
    return path
