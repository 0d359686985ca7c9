"""A table of numbers in a CSV or Parquet file, read by Apache Arrow (https://arrow.apache.org/docs/python).

Standardised columns: x = (value - mean) / std, with the mean and the population standard deviation of the
training rows, as scikit-learn's StandardScaler has it.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from isthmus.core.errors import BadInput, one_of
from isthmus.core.scaling import Scaling
from isthmus.data.examples import locate
from isthmus.data.memory import check_room
from isthmus.data.source import UNBOUNDED, TensorSource

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow import parquet

SUFFIXES = (".csv", ".parquet", ".pq")
WIDEST = 8  # bytes of a number, at most
SHOWN = 5  # names or row numbers that a message lists before it counts the rest


class Table(TensorSource):
    """Rows [F], float32, one value for each feature column.

    The fingerprint is the SHA-256 of the file's bytes and of the names of the columns taken from it.

    Args:
        path: a .csv file with a header, a .parquet file, or an `example:` (see `examples.locate`).
        label: the column that is a class and no feature: whole numbers, text or true/false. None for none.
        columns: the feature columns, in this order; None for all but `label` and `drop`.
        drop: columns to leave out.
        scaling: "standardize" gives every column mean 0 and variance 1 over the training rows (one that
            is constant there becomes 0); "none" leaves the values as they are.

    Raises:
        BadInput: the file cannot be read or is empty, a column is not there or is not numbers, a value is
            missing, infinite or beyond float32.
    """

    def __init__(
        self,
        *,
        path: str | None,
        label: str | None = None,
        columns: Sequence[str] | None = None,
        drop: Sequence[str] = (),
        scaling: str = "standardize",
    ) -> None:
        self.scaling_name = one_of("scaling", scaling, ("standardize", "none"))
        if path is None:
            raise BadInput(
                "path", path, "give data.path=FILE.csv (or .parquet, or example:breast_cancer.csv)"
            )
        file = locate(str(path))
        table = _read(file, str(path))
        self.label = None if label is None else str(label)
        self.columns = _choose(table, str(path), self.label, columns, drop)
        labels, label_names = (None, None) if self.label is None else _classes(table[self.label], self.label)
        values = _values(table, str(path), self.columns, self.label, "path" if columns is None else "columns")
        super().__init__(
            torch.from_numpy(values),
            value_range=UNBOUNDED if self.scaling_name == "standardize" else None,
            labels=labels,
            label_names=label_names,
            fingerprint=_fingerprint(file, self.columns, self.label),
        )

    def scaling(self, train_rows: Tensor) -> Scaling:
        if self.scaling_name == "none":
            return Scaling.unit()
        train = self.values.index_select(0, train_rows).double()
        std, mean = torch.std_mean(train, dim=0, correction=0)
        constant = std < torch.finfo(torch.float32).tiny  # of smaller ones, 1 / std is beyond float32
        return Scaling(torch.where(constant, 1.0, 1 / std), mean)

    def describe(self) -> dict[str, Any]:
        own = {"columns": self.columns, "label": self.label, "scaling": self.scaling_name}
        return {**super().describe(), **own}


def _read(file: Path, path: str) -> pa.Table:
    """The table in `file`, which has rows, and columns of different names."""
    import pyarrow as pa
    from pyarrow import csv, parquet

    if file.is_dir():
        raise BadInput("path", path, "is a folder; give a .csv or .parquet file (data=images reads folders)")
    if not file.is_file():
        raise BadInput("path", path, "there is no such file")
    if file.suffix.lower() not in SUFFIXES:
        raise BadInput("path", path, f"must end in {', '.join(SUFFIXES)}")
    if not file.stat().st_size:
        raise BadInput("path", path, "is an empty file")
    try:
        if file.suffix.lower() == ".csv":
            table = csv.read_csv(file, parse_options=csv.ParseOptions(newlines_in_values=True))
        else:
            # one file as it is: `read_table` would add columns for folders called a=b
            with parquet.ParquetFile(file) as opened:
                _check_size(opened.metadata, path)
                texts = _texts(opened.schema)
            # texts stay what they are in the file: each once, and its number for every row
            with parquet.ParquetFile(file, read_dictionary=texts) as opened:
                table = opened.read()
        names = table.column_names
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)[:200]
        raise BadInput("path", path, f"cannot be read ({reason}); is it whole, and what it says?") from error
    if repeated := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
        raise BadInput("path", path, f"has more than one column called {_some(repeated)}; rename them")
    if not table.num_rows:
        raise BadInput("path", path, "has a header but no rows")
    return table


def _check_size(metadata: parquet.FileMetaData, path: str) -> None:
    """Refuse what unpacks to more than there is room for: a page of equal values takes a few bytes."""
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    values = sum(group.column(at).num_values for group in groups for at in range(metadata.num_columns))
    try:
        check_room(max(values * WIDEST, sum(group.total_byte_size for group in groups)), "the table")
    except ValueError as error:
        raise BadInput("path", path, str(error)) from error


def _texts(schema: parquet.ParquetSchema) -> list[str]:
    columns = [schema.column(at) for at in range(len(schema))]
    return [column.path for column in columns if column.logical_type.type == "STRING"]


def _choose(
    table: pa.Table, path: str, label: str | None, columns: Sequence[str] | None, drop: Sequence[str]
) -> list[str]:
    """The names of the feature columns."""
    chosen = table.column_names if columns is None else _names("columns", columns)
    dropped = _names("drop", drop)
    for key, names in (("label", [] if label is None else [label]), ("columns", chosen), ("drop", dropped)):
        for name in names:
            if name not in table.column_names:
                near = difflib.get_close_matches(name, table.column_names, n=1, cutoff=0.0)
                raise BadInput(key, name, f"there is no such column in {path}; the nearest is {near[0]!r}")
    if columns is not None and (twice := set(chosen) & {*dropped, label}):
        raise BadInput(
            "columns", _some(sorted(twice)), "is also data.label or in data.drop; leave it out of one"
        )
    features = [name for name in chosen if name != label and name not in dropped]
    if not features:
        raise BadInput("path", path, "no feature column is left; take fewer into data.drop or data.label")
    return features


def _names(key: str, names: Sequence[str]) -> list[str]:
    if isinstance(names, str) or not isinstance(names, Sequence):
        raise BadInput(key, names, f"must be a list, as in data.{key}=[{names}]")
    # a column called 2019 comes from YAML as a number
    listed = [str(name) for name in names]
    if len(set(listed)) < len(listed):
        raise BadInput(key, listed, "names a column twice")
    return listed


def _classes(column: pa.ChunkedArray, label: str) -> tuple[Tensor, list[str]]:
    """Classes [N], int64, in the order of their values, and the names of the classes."""
    import pyarrow as pa
    from pyarrow import compute

    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    of_class = (pa.types.is_integer, pa.types.is_boolean, pa.types.is_string, pa.types.is_large_string)
    if not any(check(kind) for check in of_class) and column.null_count < len(column):
        raise BadInput("label", label, f"holds {kind}; a label is whole numbers, text or true/false")
    encoded = compute.dictionary_encode(column).unify_dictionaries().combine_chunks()
    values = encoded.dictionary.to_pylist()  # each once
    numbers = encoded.indices.fill_null(-1).to_numpy().astype(np.int64)
    empty = [number for number, value in enumerate(values) if value is None or value == ""]
    if len(absent := np.flatnonzero(np.isin(numbers, [-1, *empty]))):
        fix = f"has no value in {_rows(absent.tolist())}; fill in or remove these rows"
        raise BadInput("label", label, fix)
    classes = sorted({values[number] for number in np.unique(numbers)})
    place = {value: at for at, value in enumerate(classes)}
    labels = np.array([place.get(value, -1) for value in values], np.int64)[numbers]
    return torch.from_numpy(labels), [str(name) for name in classes]


def _values(table: pa.Table, path: str, columns: list[str], label: str | None, key: str) -> np.ndarray:
    """The feature columns as finite float32. Shape: [N, F]."""
    import pyarrow as pa

    # a column without any value has the type null: it is missing values, not text
    types = (
        pa.types.is_integer,
        pa.types.is_floating,
        pa.types.is_boolean,
        pa.types.is_decimal,
        pa.types.is_null,
    )
    if text := [name for name in columns if not any(check(table[name].type) for check in types)]:
        fix = f"leave them out with {_override('drop', text)}"
        if label is None:
            fix += f", or make one the class with {_override('label', text[-1])}"
        first = table[text[0]]
        row = next((row for row, value in enumerate(first) if not _is_number(value.as_py())), 0)
        example = f"{text[0]!r} has {str(first[row])[:40]!r} in row {row}"
        raise BadInput(
            key, path if key == "path" else columns, f"not numbers: {', '.join(text)} ({example}); {fix}"
        )
    values = np.empty((table.num_rows, len(columns)), dtype=np.float32)
    absent: dict[str, np.ndarray] = {}
    for number, name in enumerate(columns):
        with np.errstate(over="ignore"):
            values[:, number] = table[name].cast(pa.float64(), safe=False).to_numpy()
        finite = np.isfinite(values[:, number])
        if not finite.all():
            absent[name] = (~finite).nonzero()[0]
    if absent:
        where = [f"{name!r} in {_rows(rows.tolist())}" for name, rows in absent.items()]
        fix = f"fill them in, remove the rows or leave the columns out with {_override('drop', list(absent))}"
        raise BadInput("path", path, f"missing, infinite or beyond float32: {_some(where, '; ')}; {fix}")
    return values


def _is_number(value: object) -> bool:
    try:
        float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return value in (None, "")
    return True


def _override(key: str, names: list[str] | str) -> str:
    """The override as it can be pasted into a shell."""
    quoted = [
        name if re.fullmatch(r"[A-Za-z_]\w*", name) else json.dumps(name, ensure_ascii=False)
        for name in ([names] if isinstance(names, str) else names)
    ]
    return shlex.quote(f"data.{key}=" + (quoted[0] if isinstance(names, str) else f"[{','.join(quoted)}]"))


def _rows(rows: list[int]) -> str:
    return f"row{'s' if len(rows) > 1 else ''} {_some([str(row) for row in rows])} (the first is 0)"


def _some(names: list[str], separator: str = ", ") -> str:
    rest = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return separator.join(names[:SHOWN]) + rest


def _fingerprint(file: Path, columns: list[str], label: str | None) -> str:
    with file.open("rb") as bytes_:
        digest = hashlib.file_digest(bytes_, "sha256")
    digest.update(json.dumps([columns, label]).encode())
    return digest.hexdigest()
