"""Interface of a table in a file, read in batches of rows; and Parquet files, with Apache Arrow.

Docs: https://arrow.apache.org/docs/python. A Parquet file can be thousands of times smaller than its values,
so only a few pages of the requested columns are in memory.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import accumulate, groupby
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from isthmus.data.formats.parquet_pages import pages_of
from isthmus.data.memory import check_room

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow import parquet

BATCH = 1 << 16  # largest number of rows in a batch
ROOM = 256 << 20  # bytes of columns that are decoded together; a single one may need more
COPIES = 4  # of a page: compressed, decompressed, decoded, and in the batch
WIDEST = 8  # bytes of a number


class TableFile(Protocol):
    """A table in a file.

    Attributes:
        schema: Arrow's types of the columns.
        names: of the columns, in order.
        rows: number of rows.
    """

    schema: pa.Schema
    names: list[str]
    rows: int

    def batches(self, names: Sequence[str]) -> Iterator[tuple[int, pa.RecordBatch]]:
        """Batches of all rows of these columns, each with the number of its first row."""


class HeldTable:
    """A table in memory; see `TableFile`.

    Args:
        table: without repeated names, if any of these is read.
    """

    def __init__(self, table: pa.Table) -> None:
        self._table = table
        self.schema: pa.Schema = table.schema
        self.names: list[str] = table.schema.names
        self.rows: int = table.num_rows

    def batches(self, names: Sequence[str]) -> Iterator[tuple[int, pa.RecordBatch]]:
        """Batches of all rows of these columns, each with the number of its first row."""
        start = 0
        for batch in self._table.select(list(names)).to_batches(BATCH):
            yield start, batch
            start += len(batch)


class _Cost(NamedTuple):
    """The memory in bytes that reading a column needs, and the number of rows to read at a time."""

    size: int
    rows: int


class Parquet:
    """The table in a .parquet file; see `TableFile`.

    Raises:
        ValueError: according to its metadata, the columns are larger than the file.
    """

    def __init__(self, file: Path) -> None:
        from pyarrow import parquet

        # `read_table` would add partition columns for folders named a=b
        with parquet.ParquetFile(file) as opened:
            self._metadata = opened.metadata
            self._schema = opened.schema
        _check_chunks(file, self._metadata)
        self._file = file
        self._leaves: defaultdict[str, list[int]] = defaultdict(list)  # by path
        # read strings as dictionary-encoded columns
        self._texts: set[str] = set()
        for at in range(len(self._schema)):
            leaf = self._schema.column(at)
            self._leaves[leaf.path].append(at)
            if leaf.logical_type.type == "STRING":
                self._texts.add(leaf.path)
        with self._opened() as opened:
            self.schema: pa.Schema = opened.schema_arrow
        self.names: list[str] = self.schema.names
        self.rows: int = self._metadata.num_rows

    def batches(self, names: Sequence[str]) -> Iterator[tuple[int, pa.RecordBatch]]:
        """Batches of all rows of these columns, for a few columns at a time.

        Raises:
            ValueError: a page needs more memory than is available, or the number of rows differs from the
                metadata.
        """
        costs = [self._cost(name) for name in names]
        used = accumulate(cost.size for cost in costs)
        for _, group in groupby(zip(used, names, costs, strict=True), lambda each: each[0] // ROOM):
            _, together, costs_of = zip(*group, strict=True)
            yield from self._read(together, min(cost.rows for cost in costs_of))

    def _cost(self, name: str) -> _Cost:
        if len(self._leaves[name]) != 1:  # Arrow would read a field of a nested column
            raise ValueError(f"the column {name} is nested, or has the name of a field of another column")
        (at,) = self._leaves[name]
        pages = pages_of(self._file, self._metadata, at)
        size = min(self.rows, BATCH) * WIDEST + pages.largest * COPIES
        check_room(size, f"the column {name}")
        if self._schema.column(at).physical_type != "BYTE_ARRAY":
            return _Cost(size, BATCH)
        longest = max(pages.prefixed, 0 if name in self._texts else pages.dictionary)
        return _Cost(size, min(BATCH, max(1, ROOM // max(1, longest))))

    def _read(self, names: Sequence[str], step: int) -> Iterator[tuple[int, pa.RecordBatch]]:
        start = 0
        with self._opened() as opened:
            for batch in opened.iter_batches(step, columns=list(names)):
                if start + len(batch) > self.rows:
                    break
                yield start, batch.select(names)
                start += len(batch)
        if start != self.rows:
            raise ValueError(f"its metadata say {self.rows} rows, but it has another number")

    def _opened(self) -> parquet.ParquetFile:
        from pyarrow import parquet

        return parquet.ParquetFile(
            self._file, metadata=self._metadata, read_dictionary=self._texts, pre_buffer=False
        )


def _check_chunks(file: Path, metadata: parquet.FileMetaData) -> None:
    """Raise ValueError for overlapping columns, with which a small file could take hours to read."""
    groups = map(metadata.row_group, range(metadata.num_row_groups))
    chunks = (group.column(at) for group in groups for at in range(group.num_columns))
    if sum(max(0, chunk.total_compressed_size) for chunk in chunks) > file.stat().st_size:
        raise ValueError("its metadata say that its columns are larger than the file")
