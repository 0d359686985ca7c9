"""Reads the columns of a table as float32.

A number or a date is stored as its distance from an origin, a truth value as 0 or 1, a text as a number that
`Cells.places` maps to the position of its category, and a missing cell as NaN (see `preparation`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from isthmus.common.errors import BadInput
from isthmus.common.listing import Rows, some
from isthmus.data.formats.table_file import TableFile
from isthmus.data.tables.column_readers import CategoryReader, NumberReader
from isthmus.data.tables.kinds import Dropped, Rules
from isthmus.data.tables.preparation import Column, Kind
from isthmus.data.tables.store import FileStore, MemoryStore

BLOCK = 16 << 20  # bytes of cells that are read at a time


class Cells(NamedTuple):
    """The cells of a table that can be features.

    Attributes:
        columns: not fitted yet.
        dropped: the other columns.
        store: Shape: [N, C].
        kept: the positions of `columns` in the store. Shape: [C'].
        places: by position among `columns`, for text: the category of each stored number. Shape: [*].
        missing: the rows of missing cells, by column.
        unseen: the number of cells with text that was not in training, by column; empty in training.
        names_of_rows: columns with another whole number in every row, which may be names and no measurements.
    """

    columns: list[Column]
    dropped: list[Dropped]
    store: MemoryStore | FileStore
    kept: np.ndarray
    places: dict[int, np.ndarray]
    missing: dict[str, Rows]
    unseen: dict[str, int]
    names_of_rows: list[str]

    def blocks(self, rows: np.ndarray) -> Iterator[np.ndarray]:
        """The cells of `rows`, in blocks of some megabytes. Shapes: [B, C']."""
        step = max(1, BLOCK // (4 * max(1, len(self.columns))))
        return (self.take(rows[start : start + step]) for start in range(0, len(rows), step))

    def take(self, rows: np.ndarray | slice) -> np.ndarray:
        """The cells of some rows; categories as their position, -1 for unknown ones. Shape: [B, C']."""
        taken = self.store.take(rows)
        if len(self.kept) < taken.shape[1]:
            taken = np.ascontiguousarray(taken[:, self.kept])
        elif self.places:
            taken = taken.copy()
        for at, places in self.places.items():
            taken[:, at] = renumber(taken[:, at], places)
        return taken

    def column(self, at: int, rows: np.ndarray | slice) -> np.ndarray:
        """The cells of one column in memory. Shape: [B]."""
        assert isinstance(self.store, MemoryStore)
        cells = self.store.cells[rows, self.kept[at]]
        return renumber(cells, self.places[at]) if at in self.places else cells


def renumber(numbers: np.ndarray, places: np.ndarray) -> np.ndarray:
    """`places[numbers]`, and NaN and -1 unchanged. Shape: [B], float32."""
    missing = np.isnan(numbers)
    found = np.append(places, -1).astype(np.float32)[np.where(missing, -1, numbers).astype(np.int64)]
    return np.where(missing, np.float32("nan"), found)


def read(
    table: TableFile,
    columns: Sequence[Column],
    rules: Rules,
    store: MemoryStore,
    *,
    known: bool = False,
    origins: bool = True,
) -> Cells:
    """Read columns into a store.

    Args:
        table: the file.
        columns: from `kinds.columns_of`.
        rules: which columns may be features.
        store: receives the cells.
        known: whether the columns are those of a trained run, and new data are read.
        origins: whether numbers may be stored as distances from an origin.

    Raises:
        BadInput: a column is refused, or has cells that are infinite or beyond float32.
        ValueError: memory does not suffice. Errors of `table`.
    """
    readers = {
        column.name: CategoryReader(column, table.rows, rules, known=known)
        if column.kind is Kind.CATEGORY
        else NumberReader(column, table.rows, rules, known=known or not origins)
        for column in columns
    }
    place = {name: at for at, name in enumerate(readers)}
    for start, batch in table.batches(list(readers)):
        for name, cells in zip(batch.schema.names, batch.columns, strict=True):
            store.put(start, place[name], readers[name].add(start, cells))
    infinite = [f"{name!r} in {each.infinite}" for name, each in readers.items() if each.infinite.count]
    if infinite:
        fix = "correct them" if known else "correct them, or leave the columns out with data.drop"
        raise BadInput("path", "", f"infinite or beyond float32: {some(infinite, '; ')}; {fix}")
    useless: dict[str, str] = {}
    if not known:
        for name, reader in readers.items():
            reader.check()
            if rules.prune and not rules.chosen and (reason := reader.useless()):
                useless[name] = reason
    kept = [name for name in readers if name not in useless]
    return Cells(
        columns=[readers[name].column for name in kept],
        dropped=[Dropped(name, reason) for name, reason in useless.items()],
        store=store,
        kept=np.array([place[name] for name in kept], np.int64),
        places={at: places for at, name in enumerate(kept) if (places := readers[name].places()) is not None},
        missing={name: readers[name].missing for name in kept if readers[name].missing.count},
        unseen={name: count for name in kept if (count := readers[name].unseen())} if known else {},
        names_of_rows=[] if known else [name for name in kept if readers[name].may_be_names()],
    )
