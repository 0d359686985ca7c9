"""Reads a CSV file with Apache Arrow, after its format is known (see `layout`).

The file may be compressed with gzip, bzip2 or xz. It is read completely, because the type of a column can
depend on its last row.
"""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from isthmus.common.errors import BadInput
from isthmus.data.formats.csv.layout import SAMPLE, detect
from isthmus.data.formats.csv.marks import Marks
from isthmus.data.formats.csv.numbers import numbers_in
from isthmus.data.formats.csv.options import CSVOptions
from isthmus.data.formats.table_file import HeldTable
from isthmus.data.memory import check_room

if TYPE_CHECKING:
    import pyarrow as pa

BLOCK = 1 << 20  # bytes read at a time
LINES = 5  # in the sample of a file with very long ones
LONGEST_SAMPLE = 64 << 20  # bytes
VALUE = 13  # bytes per value: the number, its validity, and its float32
COLUMN = 10_000  # bytes that Arrow needs for a column with one row
MAGIC: dict[bytes, Callable[..., Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\0": lzma.open}
BYTE_ORDER_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
UNDEFINED = frozenset(b"\x81\x8d\x8f\x90\x9d")  # bytes without a character in cp1252


class CSV(HeldTable):
    """The table in a CSV file; see `TableFile`.

    Attributes:
        format: how it was read.
        skipped: number of rows that were skipped because they have another number of cells.

    Args:
        file: the file.
        options: what the user says about it.
        usual: the marks of other files of the same table; None if there are none.
        texts: columns that are read as text, even if all cells are numbers.

    Raises:
        BadInput: its numbers can be read in two ways.
        ValueError: it needs more memory than is available, or a row has another number of cells.
        pa.ArrowException, OSError, EOFError, zlib.error, lzma.LZMAError: it cannot be read.
    """

    def __init__(
        self,
        file: Path,
        options: CSVOptions | None = None,
        *,
        usual: Marks | None = None,
        texts: Collection[str] = (),
    ) -> None:
        options = options or CSVOptions()
        encoding, size, marks = _survey(file, options.encoding)
        sample, complete, longest = _sample(file, encoding)
        self.format = detect(sample, complete, encoding, options, usual)
        values = marks[ord(self.format.separator)] + marks[ord("\n")]
        check_room(len(self.format.header.names) * COLUMN + max(size, values * VALUE), "the table")
        self.skipped = 0
        super().__init__(self._read(file, options, texts, longest))

    def describe(self) -> str:
        """How it was read, in words, without what is usual."""
        skipped = f"{self.skipped:,} rows with another number of cells are skipped" if self.skipped else ""
        return ", ".join(each for each in (self.format.describe(), skipped) if each)

    def _read(self, file: Path, options: CSVOptions, texts: Collection[str], longest: int) -> pa.Table:
        import pyarrow as pa
        from pyarrow import csv

        found = self.format
        spaced = found.separator == " "
        bad, skipped = "", 0

        def other_width(row: csv.InvalidRow) -> str:
            nonlocal bad, skipped
            skipped += 1
            if not bad:
                count = row.actual_columns
                cells = f"{count} cell{'s' * (count != 1)}"
                bad = f"{row.text[:60]!r} has {cells} and the others {row.expected_columns}"
            return "skip"

        with _opened(file) as opened:
            table = csv.read_csv(
                _tabbed(opened, found.encoding) if spaced else opened,
                read_options=csv.ReadOptions(
                    column_names=found.header.names,
                    skip_rows=found.lines,
                    encoding="utf-8" if spaced else found.encoding,
                    block_size=max(BLOCK, 4 * longest),
                ),
                parse_options=csv.ParseOptions(
                    delimiter="\t" if spaced else found.separator,
                    newlines_in_values=True,
                    invalid_row_handler=other_width,
                ),
                convert_options=csv.ConvertOptions(
                    column_types={name: pa.string() for name in found.header.names if name in texts},
                    decimal_point=found.marks.decimal,
                    null_values=options.missing,
                    strings_can_be_null=True,
                ),
            )
        if bad and options.bad_rows == "refuse":
            more = f", and {skipped - 1:,} more rows" if skipped > 1 else ""
            raise ValueError(f"a row {bad}{more}; mend it, or data.csv.bad_rows=skip leaves such rows out")
        self.skipped = skipped
        if found.separator == ";" and found.marks.decimal == "." and not found.points_seen:
            _refuse_thousands(table)
        for at, column in enumerate(table.columns):
            if table.schema.names[at] in texts:
                continue
            if (numbers := numbers_in(column, found.marks, options)) is not None:
                table = table.set_column(at, table.schema.names[at], numbers)
        return table


def _refuse_thousands(table: pa.Table) -> None:
    """Raise `BadInput` for points behind the sample that can group digits, such as 1.234 beside 567."""
    import numpy as np
    import pyarrow as pa

    for name, column in zip(table.schema.names, table.columns, strict=True):
        if not pa.types.is_floating(column.type):
            continue
        values = column.drop_null().to_numpy()
        parted = values[values != np.rint(values)]
        if len(parted) and np.abs(values).max() < 1000 and np.allclose(parted * 1000, np.rint(parted * 1000)):
            said = f"{parted[0]:.3f} in {name!r} can mean {parted[0]:.3f} or {round(parted[0] * 1000)}"
            fix = "give data.csv.decimal=point or data.csv.decimal=comma"
            raise BadInput("csv.decimal", "auto", f"{said}; {fix}")


def _opened(file: Path) -> IO[bytes]:
    """The file, decompressed while it is read."""
    with file.open("rb") as raw:
        start = raw.read(max(map(len, MAGIC)))
    for magic, opening in MAGIC.items():
        if start.startswith(magic):
            return cast(IO[bytes], opening(file, "rb"))
    return file.open("rb")


def _survey(file: Path, encoding: str) -> tuple[str, int, Sequence[int]]:
    """The encoding, the decompressed size, and how often each byte occurs. Reads the file once."""
    import numpy as np

    counts, size = np.zeros(256, np.int64), 0
    decoder = codecs.getincrementaldecoder("utf-8")()
    mark: str | None = None
    valid = True
    with _opened(file) as opened:
        while block := opened.read(BLOCK):
            if not size:
                mark = next((name for bom, name in BYTE_ORDER_MARKS.items() if block.startswith(bom)), None)
            size += len(block)
            check_room(size, "the table")
            counts += np.bincount(np.frombuffer(block, np.uint8), minlength=256)
            if valid and not mark:
                try:
                    decoder.decode(block)
                except UnicodeDecodeError:
                    valid = False
    if encoding == "auto":
        if mark:
            encoding = mark
        elif counts[0] > size // 4:
            encoding = "utf-16-le"
        elif valid:
            encoding = "utf-8"
        else:
            encoding = "latin-1" if any(counts[byte] for byte in UNDEFINED) else "cp1252"
    return encoding, size, counts.tolist()


def _sample(file: Path, encoding: str) -> tuple[str, bool, int]:
    """The beginning of a file with some lines, whether that is all, and the bytes of its longest line."""
    size = SAMPLE
    with _opened(file) as opened:
        content = opened.read(size)
        while len(content) == size and content.count(b"\n") < LINES and size < LONGEST_SAMPLE:
            size *= 2
            content += opened.read(size - len(content))
        complete = not opened.read(1)
    # the last character may be cut off
    text = codecs.getincrementaldecoder(encoding)(errors="replace").decode(content)
    return text, complete, max(map(len, content.split(b"\n")))


def _tabbed(opened: IO[bytes], encoding: str) -> IO[bytes]:
    """The file with tabs in place of runs of spaces."""
    text = io.TextIOWrapper(opened, encoding=encoding)
    try:
        lines = ("\t".join(line.split()) for line in text)
        return io.BytesIO("\n".join(lines).encode())
    finally:
        text.detach()
