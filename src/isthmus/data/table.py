"""A table of numbers in a CSV or Parquet file, its columns chosen and matched by name.

Standardised columns: x = (value - mean) / std, with the mean and the population standard deviation of the
training rows, as in scikit-learn's StandardScaler.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
import shlex
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from isthmus.common.errors import BadInput, one_of
from isthmus.common.listing import Rows, some
from isthmus.core.scaling import Scaling
from isthmus.data.examples import locate
from isthmus.data.formats.labels import column_classes
from isthmus.data.formats.table_file import CSV, Parquet
from isthmus.data.memory import ROW, NoRoom, check_room
from isthmus.data.source import UNBOUNDED, TensorSource

if TYPE_CHECKING:
    import pyarrow as pa

SUFFIXES = (".csv", ".parquet", ".pq")
MOST_DROPPED = 20  # largest number of columns in an override that a message suggests


class Table(TensorSource):
    """Examples [F], float32, one value per feature column.

    The fingerprint is the SHA-256 of the file's bytes and of the names of the columns used.

    Args:
        path: a .csv file with a header, a .parquet file, or an `example:` (see `examples.locate`).
        label: the column of classes, which is no feature: integers, text or true/false. None for none.
        columns: the feature columns, in this order; None for all but `label` and `drop`.
        drop: columns to leave out.
        scaling: "standardize" gives every column mean 0 and variance 1 over the training rows (constant
            columns become 0); "none" leaves the values unchanged.

    Raises:
        BadInput: the file cannot be read or is empty, a column is missing or not numeric, a value is missing,
            infinite or beyond float32.
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
        table = _open(file, str(path))
        self.label = None if label is None else str(label)
        self.columns = _choose(table, str(path), self.label, columns, drop)
        with _as_bad_input(str(path)):
            _check_types(table, str(path), self.columns, self.label, "path" if columns is None else "columns")
            check_room(table.rows * (ROW + len(self.columns) * torch.float32.itemsize), "the table")
            labels, label_names = (None, None) if self.label is None else column_classes(table, self.label)
            values = _values(table, str(path), self.columns)
        del table
        _release_arrow_memory()
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
        return self._standardize(train_rows)

    def describe(self) -> dict[str, Any]:
        own = {"columns": self.columns, "label": self.label, "scaling": self.scaling_name}
        return {**super().describe(), **own}


def _release_arrow_memory() -> None:
    """Return the unused memory of Arrow's pool to the system."""
    import pyarrow as pa

    pa.default_memory_pool().release_unused()


@contextmanager
def _as_bad_input(path: str) -> Iterator[None]:
    """Convert errors of the file readers to `BadInput`."""
    import pyarrow as pa

    try:
        yield
    except BadInput:
        raise
    except NoRoom as error:
        raise BadInput("path", path, str(error)) from error
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)[:200]
        raise BadInput("path", path, f"cannot be read ({reason}); is it complete?") from error


def _open(file: Path, path: str) -> CSV | Parquet:
    """Open the table in `file`; raises `BadInput` if it has no rows or duplicate column names."""
    if file.is_dir():
        raise BadInput("path", path, "is a folder; give a .csv or .parquet file (data=images reads folders)")
    if not file.is_file():
        raise BadInput("path", path, "there is no such file")
    if file.suffix.lower() not in SUFFIXES:
        raise BadInput("path", path, f"must end in {', '.join(SUFFIXES)}")
    if not file.stat().st_size:
        raise BadInput("path", path, "is an empty file")
    with _as_bad_input(path):
        table = CSV(file) if file.suffix.lower() == ".csv" else Parquet(file)
    if repeated := [name for name, count in Counter(table.names).items() if count > 1]:
        raise BadInput("path", path, f"has more than one column called {some(repeated)}; rename them")
    if table.rows <= 0:
        raise BadInput("path", path, "has a header but no rows")
    return table


def _choose(
    table: CSV | Parquet, path: str, label: str | None, columns: Sequence[str] | None, drop: Sequence[str]
) -> list[str]:
    """The names of the feature columns."""
    known = dict.fromkeys(table.names)
    chosen = list(known) if columns is None else _names("columns", columns)
    dropped = _names("drop", drop)
    for key, names in (("label", [] if label is None else [label]), ("columns", chosen), ("drop", dropped)):
        absent = [name for name in names if name not in known]
        if len(absent) > 1:
            raise BadInput(key, some(absent), f"there are no such columns in {path}; it has {some([*known])}")
        if absent:
            near = difflib.get_close_matches(absent[0], known, n=1, cutoff=0.0)
            raise BadInput(key, absent[0], f"there is no such column in {path}; the nearest is {near[0]!r}")
    if columns is not None and (twice := set(chosen) & {*dropped, label}):
        raise BadInput(
            "columns", some(sorted(twice)), "is also data.label or in data.drop; leave it out of one"
        )
    left_out = {label, *dropped}
    features = [name for name in chosen if name not in left_out]
    if not features:
        key, value = ("path", path) if columns is None else ("columns", list(columns))
        raise BadInput(key, value, "no feature column is left; name fewer in data.drop and data.label")
    return features


def _names(key: str, names: Sequence[str]) -> list[str]:
    if isinstance(names, str) or not isinstance(names, Sequence):
        raise BadInput(key, names, f"must be a list, as in data.{key}=[{names}]")
    # YAML reads the name 2019 as a number
    listed = [str(name) for name in names]
    if len(set(listed)) < len(listed):
        raise BadInput(key, listed, "names a column twice")
    return listed


def _check_types(table: CSV | Parquet, path: str, columns: list[str], label: str | None, key: str) -> None:
    """Raise `BadInput` for feature columns that are not numeric, and for a label of an unsupported type."""
    import pyarrow as pa

    if label is not None:
        kind = _kind(table, label)
        types = pa.types
        classes = (types.is_integer, types.is_boolean, types.is_string, types.is_large_string, types.is_null)
        if not any(check(kind) for check in classes):
            raise BadInput("label", label, f"holds {kind}; a label is whole numbers, text or true/false")
    # a column without any value has the type null; `_values` reports it as missing values
    numbers = (
        pa.types.is_integer,
        pa.types.is_floating,
        pa.types.is_boolean,
        pa.types.is_decimal,
        pa.types.is_null,
    )
    kinds = dict(zip(table.names, table.schema.types, strict=True))
    if text := [name for name in columns if not any(check(kinds[name]) for check in numbers)]:
        fix = f"leave them out with {_override('drop', text)}"
        if label is None:
            fix += f", or make one the class with {_override('label', text[-1])}"
        fix = f"not numbers: {some(text)} ({_example(table, text[0])}); {fix}"
        raise BadInput(key, path if key == "path" else columns, fix)


def _kind(table: CSV | Parquet, name: str) -> pa.DataType:
    import pyarrow as pa

    kind = table.schema.field(name).type
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _example(table: CSV | Parquet, name: str) -> str:
    """An example of why a column is not numeric: its type in a Parquet file, or a value of a CSV file."""
    if isinstance(table, Parquet):
        return f"{name!r} holds {str(_kind(table, name))[:40]}"
    values = (
        (start + row, value) for start, part in table.batches([name]) for row, value in enumerate(part[0])
    )
    first = next(values)
    row, value = next((pair for pair in chain([first], values) if not _is_number(pair[1].as_py())), first)
    return f"{name!r} has {str(value)[:40]!r} in row {row}"


def _values(table: CSV | Parquet, path: str, columns: list[str]) -> np.ndarray:
    """The feature columns as finite float32. Shape: [N, F]."""
    import pyarrow as pa

    values = np.empty((table.rows, len(columns)), dtype=np.float32)
    place = {name: at for at, name in enumerate(columns)}
    absent: defaultdict[str, Rows] = defaultdict(Rows)
    for start, batch in table.batches(columns):
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            part = values[start : start + len(batch), place[name]]
            with np.errstate(over="ignore"):
                part[:] = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
            finite = np.isfinite(part)
            if not finite.all():
                absent[name].add(start + (~finite).nonzero()[0])
    if absent:
        names = sorted(absent, key=place.__getitem__)
        where = [f"{name!r} in {absent[name]}" for name in names]
        fix = f"fill them in, remove the rows or leave the columns out with {_override('drop', names)}"
        raise BadInput("path", path, f"missing, infinite or beyond float32: {some(where, '; ')}; {fix}")
    return values


def _is_number(value: object) -> bool:
    try:
        float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return value in (None, "")
    return True


def _override(key: str, names: list[str] | str) -> str:
    """The override, quoted for a shell; only the key if there are many names."""
    if not isinstance(names, str) and len(names) > MOST_DROPPED:
        return f"data.{key}"
    quoted = [
        name if re.fullmatch(r"[A-Za-z_]\w*", name) else json.dumps(name, ensure_ascii=False)
        for name in ([names] if isinstance(names, str) else names)
    ]
    return shlex.quote(f"data.{key}=" + (quoted[0] if isinstance(names, str) else f"[{','.join(quoted)}]"))


def _fingerprint(file: Path, columns: list[str], label: str | None) -> str:
    with file.open("rb") as bytes_:
        digest = hashlib.file_digest(bytes_, "sha256")
    digest.update(json.dumps([columns, label]).encode())
    return digest.hexdigest()
