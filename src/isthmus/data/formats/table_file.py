"""The columns of a CSV or Parquet file, a few rows at a time, by Apache Arrow.

Docs: https://arrow.apache.org/docs/python. A CSV file is read whole, because the type of a column can depend
on its last row. Of a Parquet file, which can be thousands of times smaller than its values, a few pages of
the columns that are asked for are in memory.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import accumulate, groupby
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple

from isthmus.data.formats.parquet_pages import pages_of
from isthmus.data.memory import NoRoom, check_room

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow import parquet

BATCH = 1 << 16  # rows at a time, at most
ROOM = 256 << 20  # bytes of the columns that are decoded together; a single one may take more
COPIES = 4  # of a page: compressed, unpacked, decoded, and handed over
WIDEST = 8  # bytes of a number
CSV_VALUE = 13  # bytes: a number and whether it is there, and then as float32
CSV_COLUMN = 10_000  # bytes that Arrow takes for a column with one row
BLOCK = 1 << 20  # bytes read at a time


class CSV:
    """The table in a .csv file.

    Attributes:
        schema: Arrow's types of the columns.
        names: of the columns, in order.
        rows: how many there are.

    Raises:
        ValueError: it would take more memory than there is.
        pa.ArrowException, OSError, UnicodeDecodeError: it cannot be read.
    """

    def __init__(self, file: Path) -> None:
        from pyarrow import csv

        _check_csv(file)
        self._table = csv.read_csv(file, parse_options=csv.ParseOptions(newlines_in_values=True))
        self.schema: pa.Schema = self._table.schema
        self.names: list[str] = self.schema.names
        self.rows: int = self._table.num_rows

    def batches(self, names: Sequence[str]) -> Iterator[tuple[int, pa.RecordBatch]]:
        """Batches that have all rows of these columns, and the first row of each."""
        start = 0
        for batch in self._table.select(names).to_batches(BATCH):
            yield start, batch
            start += len(batch)


class _Cost(NamedTuple):
    """Of reading a column: bytes in memory, and how many rows to read at a time."""

    size: int
    rows: int


class Parquet:
    """The table in a .parquet file. Attributes and errors: see `CSV`.

    Raises:
        ValueError: its columns are larger than the file.
    """

    def __init__(self, file: Path) -> None:
        from pyarrow import parquet

        # one file as it is: `read_table` would add columns for folders called a=b
        with parquet.ParquetFile(file) as opened:
            self._metadata = opened.metadata
            self._schema = opened.schema
        _check_chunks(file, self._metadata)
        self._file = file
        self._leaves: defaultdict[str, list[int]] = defaultdict(list)  # by path
        # texts stay what they are in the file: each once, and its number for every row
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
        """Batches that have all rows of these columns, a few columns after another.

        Raises:
            ValueError: a page takes more memory than there is, or the file has not the rows that it says.
        """
        costs = [self._cost(name) for name in names]
        used = accumulate(cost.size for cost in costs)
        for _, group in groupby(zip(used, names, costs, strict=True), lambda each: each[0] // ROOM):
            _, together, costs_of = zip(*group, strict=True)
            yield from self._read(together, min(cost.rows for cost in costs_of))

    def _cost(self, name: str) -> _Cost:
        if len(self._leaves[name]) != 1:  # Arrow would take a part of a nested column for it
            raise ValueError(f"a part of another column is called {name}, too")
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
            raise ValueError(f"it says that it has {self.rows} rows, and has others")

    def _opened(self) -> parquet.ParquetFile:
        from pyarrow import parquet

        return parquet.ParquetFile(
            self._file, metadata=self._metadata, read_dictionary=self._texts, pre_buffer=False
        )


def _check_chunks(file: Path, metadata: parquet.FileMetaData) -> None:
    """Refuse a file whose columns lie over one another: a small one could take hours to read."""
    groups = map(metadata.row_group, range(metadata.num_row_groups))
    chunks = (group.column(at) for group in groups for at in range(group.num_columns))
    if sum(max(0, chunk.total_compressed_size) for chunk in chunks) > file.stat().st_size:
        raise ValueError("it says that its columns are larger than the file")


def _check_csv(file: Path) -> None:
    """Refuse what takes more memory than there is."""
    size = file.stat().st_size
    with file.open("rb") as opened:
        columns = (_first_row(opened).count(b",") + 1) * CSV_COLUMN
        opened.seek(0)
        try:
            check_room(columns + size * CSV_VALUE // 2, "the table")  # a value and what ends it
        except NoRoom:
            values = sum(map(_values_in, iter(lambda: opened.read(BLOCK), b"")))
            check_room(columns + max(size, values * CSV_VALUE), "the table")


def _first_row(file: IO[bytes]) -> bytes:
    """The first row of at most a block: lines before it may be empty, and a name may have a line break."""
    row, quotes = [], 0
    for line in file.read(BLOCK).splitlines(keepends=True):
        row.append(line)
        quotes += line.count(b'"')
        if line.strip() and quotes % 2 == 0:
            break
    return b"".join(row)


def _values_in(block: bytes) -> int:
    return block.count(b",") + max(block.count(b"\n"), block.count(b"\r"))
