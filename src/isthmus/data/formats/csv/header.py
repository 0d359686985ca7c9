"""The names of the columns of a CSV file: in a header, in a comment above the rows, or made up."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, count, pairwise
from typing import NamedTuple

from isthmus.common.listing import some
from isthmus.data.formats.csv.marks import Marks, is_number, plain
from isthmus.data.formats.csv.options import CSVOptions
from isthmus.data.formats.csv.rows import COMMENT, Parse

YEARS = (1800, 2200)  # numbers that are likely to be years
NUMERIC = 0.9  # share of numbers in a column of numbers
FEW = 4  # rows below which a row of units is not recognised


class Header(NamedTuple):
    """The names of the columns.

    Attributes:
        names: of the columns, all different.
        found: whether they are in the file.
        lines: number of lines up to the first row of cells.
        renamed: names that were in the file before, and got a number.
        units: whether a row of units follows, which is skipped.
    """

    names: list[str]
    found: bool
    lines: int
    renamed: Sequence[str] = ()
    units: bool = False

    def describe(self) -> list[str]:
        """What is unusual, in words."""
        said = []
        if not self.found:
            last = f" to {self.names[-1]}" if len(self.names) > 1 else ""
            said.append(f"no header: called {self.names[0]}{last}")
        if self.renamed:
            said.append(f"repeated names are numbered: {some(self.renamed)}")
        if self.units:
            said.append("a row of units below the header is skipped")
        return said


def find_header(parse: Parse, marks: Marks, options: CSVOptions) -> Header:
    """The names of the columns."""
    rows, width = parse.rows, parse.width
    start = parse.start
    while start < len(rows) - 1 and rows[start].cells[0].startswith(COMMENT):
        start += 1
    top, rest = rows[start].cells, [row.cells for row in rows[start + 1 :]]
    if len(top) == width - 1:
        empty_end = all(not cells[-1] for cells in rest if len(cells) == width)
        names, renamed = unique([*top, ""] if empty_end else ["", *top])
        return Header(names, True, parse.after(start), renamed=renamed)
    if options.header is True or (options.header == "auto" and _is_header(top, rest, marks, options)):
        names, renamed = unique(top)
        units = options.header == "auto" and _is_units(rest, marks, options)
        return Header(names, True, parse.after(start + units), renamed=renamed, units=units)
    if options.header == "auto" and start and (named := _commented(rows[start - 1].cells, parse)):
        names, renamed = unique(named)
        return Header(names, True, parse.after(start - 1), renamed=renamed)
    return Header([f"c{at}" for at in range(width)], False, parse.before(start))


def unique(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Names that differ, and those that were changed for it: height, height.1; empty ones are numbered."""
    taken, made, changed = set(names), dict[str, None](), []
    for at, name in enumerate(names):
        new = name
        if name in made:
            base = name or f"column {at + 1}"
            others = chain([base], (f"{base}.{number}" for number in count(1)))
            new = next(other for other in others if other not in taken and other not in made)
            changed.append(new)
        made[new] = None
    return list(made), changed


def _commented(cells: Sequence[str], parse: Parse) -> list[str] | None:
    """The names in a comment above the rows, as numpy.savetxt writes "# a,b,c"; None if there are none."""
    if not cells[0].startswith(COMMENT):
        return None
    names = [cells[0].lstrip(COMMENT).strip(), *cells[1:]]
    if parse.separator == " " and not names[0]:
        names = names[1:]
    return names if len(names) == parse.width else None


def _is_units(rest: Sequence[Sequence[str]], marks: Marks, options: CSVOptions) -> bool:
    """Whether the first row below the header has text where all others have numbers, in most columns."""
    if len(rest) < FEW:
        return False
    units, cells = rest[0], rest[1:]
    numeric = [
        at
        for at in range(len(units))
        if all(
            len(row) > at and (is_number(row[at], marks) or row[at] in options.missing_numbers)
            for row in cells
        )
    ]
    text = [
        at for at in numeric if units[at] not in options.missing_numbers and not is_number(units[at], marks)
    ]
    return len(text) == len(numeric) and len(text) > len(units) // 2


def _is_header(top: Sequence[str], rest: Sequence[Sequence[str]], marks: Marks, options: CSVOptions) -> bool:
    """Whether the first row has names: text above numbers, or numbers that count up (0,1,2 or years)."""

    def numeric(cell: str) -> bool:
        return is_number(cell, marks)

    if not rest:
        return not all(map(numeric, top))
    numbers = []
    for at, name in enumerate(top):
        below = [cells[at] for cells in rest if len(cells) > at and cells[at] not in options.missing_numbers]
        if below and sum(map(numeric, below)) >= NUMERIC * len(below):
            if name in options.missing_numbers and name:
                return False  # a missing value, as in a column of numbers
            if name and not numeric(name):
                return True
            if name:
                numbers.append(float(plain(name, marks)))
    if not numbers:
        # only text: a name that is also a value of its column is no name
        return not any(
            name and name in {cells[at] for cells in rest if len(cells) > at} for at, name in enumerate(top)
        )
    counted = all(b - a == 1 for a, b in pairwise(numbers))
    is_years = YEARS[0] <= numbers[0] <= numbers[-1] <= YEARS[1]
    return len(numbers) > 1 and counted and (is_years or (numbers[0] == 0 and len(numbers) > 2))
