"""Tables in files of text, Parquet, Arrow or Excel.

See `tables.kinds` for what the cells of a column are, and `tables.preparation` for the features.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isthmus.common.errors import BadInput
from isthmus.data.formats.csv.options import CSVOptions
from isthmus.data.source import PARTS
from isthmus.data.tables.opening import Opening, Tables, described, files_of
from isthmus.data.tables.preparation import Kind
from isthmus.data.tables.record import Record
from isthmus.data.tables.table_source import TableSource
from isthmus.data.tables.treatment import Treatment

if TYPE_CHECKING:
    from hashlib import _Hash


class Table(TableSource):
    """Rows of one or more files; see `TableSource`.

    Args:
        path: a file of text, Parquet, Arrow or Excel (see `tables.opening`), a pattern that several files of
            the same columns match, or an `example:` (see `examples.locate`).
        val_path: further rows, which are the validation set; None to draw it.
        test_path: the same for the test set.
        label: the column of classes, which is no feature: integers, text or true/false. None for none.
        id: the column of what the user calls each row, which is no feature; None for none.
        columns: the feature columns, in this order; None for all that are suitable.
        drop: columns to leave out.
        csv: what is known of the format of text files (see `csv.options.CSVOptions`). None in the config of
            runs that are older than the key: their numbers are stored without an origin.
        sheet: of an Excel file; None for the first.
        missing: what to do about missing cells: refuse them; drop their rows; replace them by the mean or
            the median of the training rows (text by the most frequent); or by the mean, with a further
            feature that says so (indicator).
        categorical: whether text becomes a feature for each value (onehot), one number (ordinal), or is
            refused.
        max_categories: text with more values is no feature.
        unseen: what to do about text that is not in the training rows: "zero" makes its features 0, or gives
            it the number of the most frequent text if categories are ordinal; "refuse".
        dates: "drop", or "number" for days since 1970-01-01.
        date_format: of dates that are text, as in ``%d.%m.%Y``; None for ISO 8601 only.
        scaling: of numbers and dates over the training rows: "standardize" to mean 0 and variance 1,
            "minmax" to [0, 1] and clipped to it, "robust" to median 0 and interquartile range 1, "quantile"
            to a normal distribution, or "none".
        clip: numbers further from the median of the training rows than this many robust standard deviations
            are set to this distance; None for no limit.
        split_column: the column that says train, val or test; None for none.
        group_column: rows with the same cell are in the same part; None for none.
        time_column: the latest rows are the test set, those before them the validation set; None for none.
        in_memory: True, False, or "auto": in memory if less than a quarter of the available memory is needed,
            or else in a file in `$XDG_CACHE_HOME/isthmus/tables` that is read ahead of training.
        prune: whether to leave out columns that say nothing: constant, an index, an identifier, or text
            with more than `max_categories` values. False refuses text.
        prepared: what a run recorded of its columns, to read new data alike; None in training.

    Raises:
        BadInput: a file cannot be read or is empty, a column is missing or cannot be a feature, a cell is
            missing, infinite or beyond float32.
    """

    def __init__(
        self,
        *,
        path: str | None,
        val_path: str | None = None,
        test_path: str | None = None,
        label: str | None = None,
        id: str | None = None,
        columns: Sequence[str] | None = None,
        drop: Sequence[str] = (),
        csv: Mapping[str, Any] | None = None,
        sheet: str | None = None,
        missing: str = "refuse",
        categorical: str = "refuse",
        max_categories: int = 50,
        unseen: str = "zero",
        dates: str = "drop",
        date_format: str | None = None,
        scaling: str = "standardize",
        clip: float | None = None,
        split_column: str | None = None,
        group_column: str | None = None,
        time_column: str | None = None,
        in_memory: str | bool = True,
        prune: bool = False,
        prepared: Mapping[str, Any] | None = None,
    ) -> None:
        if path is None:
            raise BadInput(
                "path", path, "give data.path=FILE.csv (or .parquet, or example:breast_cancer.csv)"
            )
        treatment = Treatment.of(
            missing=missing,
            categorical=categorical,
            max_categories=max_categories,
            unseen=unseen,
            dates=dates,
            date_format=date_format,
            scaling=scaling,
            clip=clip,
            chosen=columns is not None,
            prune=prune,
        )
        known = Record.of(prepared)
        given = {"train": (path, "path"), "val": (val_path, "val_path"), "test": (test_path, "test_path")}
        texts = [id] if id is not None else []
        if known:
            texts += [column.name for column in known.preparation.columns if column.kind is Kind.CATEGORY]
        text = CSVOptions.of(csv)
        given_format = text.given()
        with _naming(given_format):
            opening = Opening(text, sheet, frozenset(map(str, texts)), known.marks if known else None)
            files = {
                part: files_of(str(each), key) for part, (each, key) in given.items() if each is not None
            }
            opened = {
                part: opening.open(str(given[part][0]), found, given[part][1])
                for part, found in files.items()
            }
            every = [file for found in files.values() for file in found]
            read_as = dict.fromkeys(each for table in opened.values() for each in described(table))
            how = {"csv": given_format, "sheet": sheet, "date_format": date_format, "parts": list(files)[1:]}
            super().__init__(
                opened["train"]
                if len(opened) == 1
                else Tables([found[0] for found in files.values()], list(opened.values()), extra=True),
                path=str(path),
                content=_content(every),
                how={key: value for key, value in how.items() if value},
                roles={
                    "label": label,
                    "id": id,
                    "split_column": split_column,
                    "group_column": group_column,
                    "time_column": time_column,
                },
                columns=columns,
                drop=drop,
                treatment=treatment,
                in_memory=in_memory,
                known=known,
                marks=opening.usual,
                part_rows={PARTS[part]: table.rows for part, table in opened.items()},
                origins=csv is not None,
                read_as=list(read_as),
            )


@contextmanager
def _naming(options: Mapping[str, Any]) -> Iterator[None]:
    """Add to an error how the user wants text files to be read, which may be its cause."""
    try:
        yield
    except BadInput as error:
        if not options or error.key.startswith("csv."):
            raise
        given = ", ".join(f"data.csv.{key}={value}"[:60] for key, value in options.items())
        raise BadInput(error.key, error.value, f"{error.fix} (read with {given})") from error


def _content(files: Sequence[Path]) -> _Hash:
    """The SHA-256 of the content of one file, followed by those of the others."""
    first, *others = files
    with first.open("rb") as bytes_:
        digest = hashlib.file_digest(bytes_, "sha256")
    for file in others:
        with file.open("rb") as bytes_:
            digest.update(hashlib.file_digest(bytes_, "sha256").digest())
    return digest
