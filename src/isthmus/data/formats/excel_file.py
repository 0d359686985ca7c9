"""Reads a sheet of an Excel file with openpyxl (https://openpyxl.readthedocs.io), an optional package."""

from __future__ import annotations

import datetime
import zipfile
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isthmus.common.errors import BadInput
from isthmus.common.listing import some
from isthmus.common.messages import first_line
from isthmus.data.formats.csv.header import YEARS, Header, unique
from isthmus.data.formats.csv.marks import Marks, Numbers
from isthmus.data.formats.csv.numbers import numbers_in
from isthmus.data.formats.csv.options import CSVOptions
from isthmus.data.formats.table_file import HeldTable
from isthmus.data.memory import check_room

if TYPE_CHECKING:
    import pyarrow as pa

COPIES = 4  # bytes of memory per byte of a sheet's XML
MOST_ROWS = 1 << 20  # of a sheet in Excel


class ExcelFile(HeldTable):
    """The table in one sheet of an .xlsx file; see `TableFile`.

    Rows with fewer than half of the cells above the header are a title. Empty rows and columns are left out.

    Args:
        file: the file.
        sheet: its name; None for the only one, or the first.
        options: what the user says of header, skip_rows, missing cells, and the marks of numbers in text.

    Raises:
        BadInput: openpyxl is not installed, there is no such sheet, or text can be read as two numbers.
        ValueError: it cannot be read, or needs more memory than is available.
    """

    def __init__(self, file: Path, sheet: str | None = None, options: CSVOptions | None = None) -> None:
        try:
            import openpyxl  # noqa: F401 - whether it is installed
        except ImportError as error:
            fix = 'needs a reader of Excel files: pip install "isthmus[excel]"'
            raise BadInput("path", file, fix) from error
        import pyarrow as pa

        options = options or CSVOptions()
        try:
            rows = _rows(file, sheet, options.skip_rows or 0)
        except (BadInput, MemoryError):
            raise
        except Exception as error:  # openpyxl raises whatever damaged XML leads to
            raise ValueError(f"is no .xlsx file, or damaged: {first_line(error)}") from error
        columns = [
            at
            for at in range(max(map(len, rows), default=0))
            if any(_cell(row, at) is not None for row in rows)
        ]
        self.title, self.header = _header(rows, columns, options)
        below = rows[self.header.lines :]
        arrays = [_column([_cell(row, at) for row in below], options) for at in columns]
        table = pa.table(dict(zip(map(str, range(len(arrays))), arrays, strict=True)))
        super().__init__(table.rename_columns(self.header.names))

    def describe(self) -> str:
        """How it was read, in words, without what is usual."""
        said = [f"{self.title} row{'s' * (self.title > 1)} above the header skipped"] if self.title else []
        return ", ".join([*said, *self.header.describe()])


def _rows(file: Path, sheet: str | None, skipped: int) -> list[tuple[Any, ...]]:
    """The rows of a sheet that are not empty, without the first `skipped` ones."""
    import openpyxl

    with zipfile.ZipFile(file) as packed:
        check_room(sum(member.file_size for member in packed.infolist()) * COPIES, "the sheet")
    with file.open("rb") as opened:
        book = openpyxl.load_workbook(opened, read_only=True, data_only=True)
        sheets = {each.title: each for each in book.worksheets}  # without those of charts
        if sheet is not None and sheet not in sheets:
            raise BadInput("sheet", sheet, f"there is no such sheet; there are {some(list(sheets))}")
        if not sheets:
            raise ValueError("it has no sheets")
        found = []
        for number, row in enumerate(sheets[sheet or next(iter(sheets))].iter_rows(values_only=True)):
            if number >= MOST_ROWS:
                raise ValueError("it has rows beyond the last one of Excel")
            cells = tuple(None if isinstance(cell, str) and not cell.strip() else cell for cell in row)
            if number >= skipped and any(cell is not None for cell in cells):
                found.append(cells)
    return found


def _cell(row: Sequence[Any], at: int) -> Any:
    return row[at] if at < len(row) else None


def _header(rows: Sequence[Sequence[Any]], columns: Sequence[int], options: CSVOptions) -> tuple[int, Header]:
    """The number of rows of a title, and the header below it."""
    enough = len(columns) // 2 + 1 if len(columns) > 2 else len(columns)
    title = next(
        (
            at
            for at, row in enumerate(rows)
            if sum(_cell(row, column) is not None for column in columns) >= enough
        ),
        0,
    )
    top = [_cell(rows[title], at) for at in columns] if rows else []
    below = [
        next((c for row in rows[title + 1 :] if (c := _cell(row, at)) is not None), None) for at in columns
    ]
    alike = [_kind(name) == _kind(cell) != "text" for name, cell in zip(top, below, strict=True)]
    years = all(isinstance(name, int) and YEARS[0] <= name <= YEARS[1] for name in top) and all(
        b - a == 1 for a, b in pairwise(top)
    )
    if options.header is False or (options.header == "auto" and all(alike) and not (years and len(top) > 1)):
        return title, Header([f"c{at}" for at in range(len(columns))], False, title)
    names, renamed = unique([_name(name) for name in top])
    return title, Header(names, True, title + 1, renamed=renamed)


def _name(cell: Any) -> str:
    if isinstance(cell, datetime.datetime) and cell.time() == datetime.time():
        cell = cell.date()
    return "" if cell is None else str(cell).strip()


def _kind(cell: Any) -> str:
    """Whether a cell is text, a number, a truth value, or of another type."""
    if isinstance(cell, str) or cell is None:
        return "text"
    return "number" if isinstance(cell, int | float) and not isinstance(cell, bool) else type(cell).__name__


def _column(cells: list[Any], options: CSVOptions) -> pa.Array:
    """Cells as an array of one type: as text, unless all are of one."""
    import pyarrow as pa

    missing = frozenset(options.missing)
    cells = [None if isinstance(cell, str) and cell.strip() in missing else cell for cell in cells]
    kinds = {_kind(cell) for cell in cells if cell is not None}
    if kinds == {"number"}:
        return pa.array(cells, pa.float64())
    if len(kinds) <= 1 and "text" not in kinds:
        return pa.array(cells)
    text = pa.chunked_array([pa.array([None if cell is None else str(cell) for cell in cells], pa.string())])
    if kinds <= {"text", "number"}:
        marks = Marks(".", "")
        if typed := [cell for cell in cells if isinstance(cell, str)]:
            marks = Numbers.of([typed]).marks(",", options, None)
        numbers = numbers_in(text, marks, options)
        if numbers is not None and (marks.decimal == "." or kinds == {"text"}):
            return numbers.combine_chunks()
    return text.combine_chunks()
