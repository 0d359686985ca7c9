"""The decimal mark and the thousands separator of the numbers in a CSV file, detected where it is safe.

1,234 can be a decimal or a whole number, and so can 1.234: what other cells do not decide is refused.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from isthmus.common.errors import BadInput
from isthmus.data.formats.csv.options import CSVOptions

BLANKS = " \u00a0\u202f"  # space, and the no-break spaces that group digits in French or Swedish
APOSTROPHES = "'\u2019"
DIGITS = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
# an amount of money or a share: the sign is before or after the number
SIGNS = r"[$€£¥%]|AUD|CAD|CHF|CNY|CZK|DKK|EUR|GBP|HUF|INR|JPY|NOK|PLN|SEK|USD"
BARE = re.compile(rf"^(?:{SIGNS})?[{BLANKS}]{{0,3}}|[{BLANKS}]{{0,3}}(?:{SIGNS})?$")
LIKE_NUMBER = re.compile(rf"[+\u2212-]?[\d.,{APOSTROPHES}{BLANKS}]+([eE][+-]?\d+)?")
# numbers whose digits are grouped by another mark than point or comma
GROUPED = {
    mark: re.compile(rf"[+-]?[1-9]\d{{0,2}}([{written}]\d{{3}})+([.,]\d+)?")
    for mark, written in {" ": BLANKS, "'": APOSTROPHES}.items()
}


class Marks(NamedTuple):
    """How numbers are written.

    Attributes:
        decimal: "." or ",".
        thousands: the separator of groups of three digits; "" for none.
    """

    decimal: str
    thousands: str


class _Evidence(NamedTuple):
    """What the cells say about one of the two marks, point and comma: examples, or None."""

    decimal: str | None  # can only be a decimal mark: 3,14 or 0,125 or 1.234,5
    thousands: str | None  # can only be a thousands separator: 1,234,567 or 1,234.5
    doubtful: str | None  # can be either: 1,234


class Numbers(NamedTuple):
    """The cells of the sample, and what they say about point and comma.

    Attributes:
        columns: the cells of each column, without currency and per cent signs.
        comma: about the comma.
        point: about the point.
    """

    columns: list[list[str]]
    comma: _Evidence
    point: _Evidence

    @classmethod
    def of(cls, columns: Sequence[Sequence[str]]) -> Numbers:
        """Look at the cells of each column."""
        bared = [[bare(cell) for cell in cells] for cells in columns]
        cells = [cell for column in bared for cell in column]
        return cls(bared, _evidence(cells, ",", "."), _evidence(cells, ".", ","))

    @property
    def has_decimal_points(self) -> bool:
        """Whether a cell says that points are decimal ones."""
        return bool(self.point.decimal or self.comma.thousands)

    def marks(self, separator: str, options: CSVOptions, usual: Marks | None) -> Marks:
        """The marks of these numbers.

        Args:
            separator: of the cells.
            options: what is known.
            usual: the marks of other files of the same table, which decide where these cells do not.

        Raises:
            BadInput: the numbers can be read in two ways.
        """
        comma, point = self.comma, self.point
        decimal, thousands = options.decimal, options.thousands
        if decimal == "auto":
            if thousands in (",", "."):
                decimal = "." if thousands == "," else ","
            elif usual and not self._contradict(usual.decimal):
                decimal = usual.decimal
                thousands = usual.thousands or thousands if thousands == "auto" else thousands
            else:
                decimal = "," if (comma.decimal or point.thousands) and not point.decimal else "."
                if decimal == "." and not point.decimal and thousands == "auto":
                    self._refuse_doubt(separator)
        if thousands == "auto":
            mark, seen = (",", comma) if decimal == "." else (".", point)
            if seen.thousands or (seen.doubtful and not seen.decimal and (decimal == "," or point.decimal)):
                thousands = mark
            else:
                cells = [cell for column in self.columns for cell in column]
                found = (word for word, group in GROUPED.items() if any(map(group.fullmatch, cells)))
                thousands = next(found, "")
        return Marks(decimal, thousands)

    def _contradict(self, decimal: str) -> bool:
        """Whether the cells say that the other mark is the decimal one."""
        mark, other = (self.comma, self.point) if decimal == "," else (self.point, self.comma)
        return bool(other.decimal or mark.thousands) and not mark.decimal

    def _refuse_doubt(self, separator: str) -> None:
        """Raise `BadInput` for cells such as 1,234 or, where points can group digits, 1.234."""
        comma, point = self.comma, self.point
        if comma.doubtful and not comma.thousands:
            as_decimal, as_whole = comma.doubtful.replace(",", "."), comma.doubtful.replace(",", "")
            said = f"{comma.doubtful} can mean {as_decimal} or {as_whole}"
            fix = "give data.csv.decimal=comma or data.csv.thousands=comma"
            raise BadInput("csv.decimal", "auto", f"{said}; {fix}")
        grouped = separator == ";" or any(map(_may_be_grouped, self.columns))
        if point.doubtful and not comma.thousands and grouped:
            said = f"{point.doubtful} can mean {point.doubtful} or {point.doubtful.replace('.', '')}"
            fix = "give data.csv.decimal=point or data.csv.decimal=comma"
            raise BadInput("csv.decimal", "auto", f"{said}; {fix}")


def is_number(cell: str, marks: Marks) -> bool:
    """Whether a cell is a number."""
    return bool(DIGITS.fullmatch(plain(cell, marks)))


def plain(cell: str, marks: Marks) -> str:
    """A number as Python writes it."""
    digits = bare(cell)
    for mark in {" ": BLANKS, "'": APOSTROPHES}.get(marks.thousands, marks.thousands):
        digits = digits.replace(mark, "")
    return digits if marks.decimal == "." else digits.replace(",", ".")


def looks_numeric(cell: str) -> bool:
    """Whether a cell is a number of any country."""
    return bool(LIKE_NUMBER.fullmatch(bare(cell))) and any(map(str.isdigit, cell))


def bare(cell: str) -> str:
    """A cell without a currency or per cent sign, and with a minus in front if it is negative."""
    cell = cell.strip().replace("\u2212", "-")
    if cell.startswith("(") and cell.endswith(")"):
        cell = f"-{cell[1:-1]}"
    digits = BARE.sub("", cell)
    return f"-{digits[:-1]}" if digits.endswith("-") and digits[:-1] else digits


def _may_be_grouped(cells: Sequence[str]) -> bool:
    """Whether 1.234 stands beside whole numbers below 1000, as where points group digits."""
    numbers = [cell.lstrip("+-") for cell in cells if re.fullmatch(r"[+-]?[\d.]*\d", cell)]
    whole = [cell for cell in numbers if "." not in cell]
    groups = [cell for cell in numbers if "." in cell]
    return (
        bool(groups and whole)
        and all(len(cell) <= 3 for cell in whole)
        and all(re.fullmatch(r"[1-9]\d{0,2}(\.\d{3})+", cell) for cell in groups)
    )


def _evidence(cells: Sequence[str], mark: str, other: str) -> _Evidence:
    m, o = re.escape(mark), re.escape(other)
    groups = rf"[+-]?[1-9]\d{{0,2}}({m}\d{{3}})+"
    patterns = {
        "thousands": re.compile(rf"{groups}{o}\d+|[+-]?[1-9]\d{{0,2}}({m}\d{{3}}){{2,}}"),
        "doubtful": re.compile(groups),
        "decimal": re.compile(
            rf"[+-]?(\d+|\d{{1,3}}([{o}{BLANKS}{APOSTROPHES}]\d{{3}})+)?{m}\d*([eE][+-]?\d+)?"
        ),
    }
    found: dict[str, str | None] = dict.fromkeys(_Evidence._fields)
    for cell in cells:
        kind = next((name for name, pattern in patterns.items() if pattern.fullmatch(cell)), None)
        if kind and found[kind] is None and any(map(str.isdigit, cell)):
            found[kind] = cell
    return _Evidence(**found)
