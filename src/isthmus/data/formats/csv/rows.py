"""The rows of the beginning of a CSV file, as they are with one separator or another."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from isthmus.data.formats.csv.marks import looks_numeric
from isthmus.data.formats.csv.options import CSVOptions

MOST = 5000  # rows that are parsed
SEPARATORS = ("\t", ";", "|", ",")  # in the order of preference where two fit equally well
COMMENT = "#"
FITS = 0.9  # share of the rows with the usual number of cells


class Row(NamedTuple):
    """A row of the sample."""

    cells: list[str]
    line: int  # the number of lines up to its end


class Parse(NamedTuple):
    """The rows of the sample, read with one separator.

    Attributes:
        separator: the separator.
        rows: the rows that are not empty.
        width: the usual number of cells.
        start: the first row with this number of cells; those before it are a title or comments.
        score: how well the separator fits.
    """

    separator: str
    rows: list[Row]
    width: int
    start: int
    score: tuple[float, ...]

    @classmethod
    def of(cls, lines: Sequence[str], separator: str, options: CSVOptions) -> Parse:
        rows = _rows(lines, separator)
        if not rows:
            return cls(separator, rows, 0, 0, (0.0,))
        widths = Counter(len(row.cells) for row in rows)
        width, count = widths.most_common(1)[0]
        start = next(at for at, row in enumerate(rows) if len(row.cells) == width)
        if start and _lacks_a_name(rows[start - 1].cells, rows[start].cells):
            start -= 1
        cells = [cell for row in rows[start:] for cell in row.cells if cell not in options.missing_numbers]
        clean = sum(looks_numeric(cell) for cell in cells) / max(1, len(cells))
        fits = round(count / len(rows), 1) if width > 1 else 0.0
        order = SEPARATORS if width > 1 else (",",)
        preference = -order.index(separator) if separator in order else -len(SEPARATORS)
        return cls(separator, rows, width, start, (fits, round(clean, 2), float(width), preference))

    @property
    def fits(self) -> bool:
        """Whether nearly all rows have several cells, and the same number of them."""
        return self.score[0] >= FITS

    @property
    def from_the_top(self) -> bool:
        """Whether the first row that is no comment has as many cells as the others, or lacks one name."""
        first = next((row.cells for row in self.rows if not row.cells[0].startswith(COMMENT)), [])
        return len(first) == self.width or len(first) == self.width - 1 > 1

    def before(self, row: int) -> int:
        """The number of lines before a row."""
        return self.rows[row - 1].line if row else 0

    def after(self, row: int) -> int:
        """The number of lines up to the end of a row."""
        return self.rows[row].line


def _lacks_a_name(header: Sequence[str], first: Sequence[str]) -> bool:
    """Whether R wrote a header, without a name for the row names, above the first row."""
    apart = len(header) == len(first) - 1 and not header[0].startswith(COMMENT)
    return apart and (len(header) > 1 or any(map(looks_numeric, first[1:])))


def _rows(lines: Sequence[str], separator: str) -> list[Row]:
    if separator == " ":
        split = ((line.split(), at + 1) for at, line in enumerate(lines[:MOST]))
        return [Row(cells, at) for cells, at in split if cells]
    reader = csv.reader(lines, delimiter=separator)
    rows: list[Row] = []
    try:
        for cells in reader:
            if any(cells):
                rows.append(Row([cell.strip() for cell in cells], reader.line_num))
            if len(rows) == MOST:
                break
    except csv.Error:
        pass
    return rows
