"""Turns a column's cells, as Arrow reads them, into float32; notes what is missing and what says nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from isthmus.common.errors import BadInput
from isthmus.common.listing import Rows
from isthmus.data.formats.csv.marks import looks_numeric
from isthmus.data.formats.distinct import distinct
from isthmus.data.memory import check_room
from isthmus.data.tables.kinds import Rules, days, decoded
from isthmus.data.tables.preparation import Column, Kind
from isthmus.data.tables.selection import override

if TYPE_CHECKING:
    import pyarrow as pa

PRECISION = 1e-4  # of a column's range: float32 must be more exact, or the column gets an origin
INDEX_NAMES = ("", "Unnamed: 0", "__index_level_0__", "level_0", "index")
ID_NAME = re.compile(r"(.*[\W_])?(?i:ids?|uuid|guid|index|idx|key|row|row_?number|rowid)|.*[a-z](Id|ID)")
NUMERIC = 0.9  # share of numbers in a column of text from which the other cells are mistakes
NUMERIC_OF_MANY = 0.5  # the same where there are many different numbers
MANY_NUMBERS = 20  # different numbers from which they are measurements, and no categories
DATE = re.compile(r"\d{1,4}([./-])\d{1,2}\1\d{1,4}([ T]\d{1,2}:\d{2}.*)?")
# a number with a unit, a currency or a sign such as <, in any country's format
MEASURE = re.compile(
    r"(?:[A-Z]{3}\s?)?[^\w.,]{0,2}[+(\u2212-]?\d[\d.,'\u2019 \u00a0\u202f]*"
    r"(?:[eE][+-]?\d+)?\)?-?\s?[^\W\d_]{0,6}\W?"
)
MANY_ROWS = 100  # rows from which a column of distinct whole numbers is likely to have names
MOSTLY = 0.99  # share of different cells from which a column can be an index or an identifier
FEW = 10  # rows below which a column of distinct values says nothing
COMPARED = 100_000  # rows that are compared with each other to find identifiers
CATEGORY = 200  # bytes per category besides its text


class NumberReader:
    """Reads numbers, truth values and dates.

    Args:
        column: before it is read.
        rows: of the table.
        rules: how dates are written.
        known: whether the column is that of a trained run, which has its origin already.

    Attributes:
        column: with its origin, after the first cells.
        missing: the rows of missing cells.
        infinite: the rows of cells that are infinite or beyond float32.
    """

    def __init__(self, column: Column, rows: int, rules: Rules, *, known: bool) -> None:
        self.column, self.rows, self.rules = column, rows, rules
        self.missing, self.infinite = Rows(), Rows()
        self._placed = known
        self._lowest, self._highest = np.inf, -np.inf
        self._counts, self._whole = True, True
        self._last: float | None = None
        self._first = np.empty(0, np.float32)
        self._distinct: float | None = None

    def add(self, start: int, cells: pa.Array) -> np.ndarray:
        """The next cells. Shape: [B], float32."""
        import pyarrow as pa

        if self.column.kind is Kind.DATE:
            values = days(cells, self.rules.date_format)
        else:
            values = decoded(cells).cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        missing = np.isnan(values)
        present = values if not missing.any() else values[~missing]
        if not self._placed and len(present):
            self.column = replace(self.column, origin=_origin(present.min(), present.max()))
            self._placed = True
        with np.errstate(over="ignore", invalid="ignore"):
            stored = (values - self.column.origin).astype(np.float32)
        if len(present) < len(values):
            self.missing.add(start + missing.nonzero()[0])
        infinite = np.isinf(stored)
        if infinite.any():
            self.infinite.add(start + infinite.nonzero()[0])
        self._look_at(present, start, stored)
        return stored

    def check(self) -> None:
        """Nothing else can be wrong with numbers."""

    def places(self) -> None:
        """Numbers have no categories."""

    def unseen(self) -> int:
        """No number is unseen."""
        return 0

    def useless(self) -> str | None:
        """Why the column says nothing about a row; None if it may."""
        if self._lowest > self._highest:
            return "empty"
        if self._lowest == self._highest and not self.missing.count:
            return "constant"
        if self.rows < FEW or not self._has_whole_numbers():
            return None
        name = self.column.name
        if self._counts:
            return "an unnamed index" if name in INDEX_NAMES else "counts the rows"
        if self._distinct_share() < MOSTLY:
            return None
        return (
            "an unnamed index"
            if name in INDEX_NAMES
            else "an identifier"
            if ID_NAME.fullmatch(name)
            else None
        )

    def may_be_names(self) -> bool:
        """Whether all cells are whole numbers, and all differ."""
        return self.rows >= MANY_ROWS and self._has_whole_numbers() and self._distinct_share() == 1

    def _has_whole_numbers(self) -> bool:
        return self._whole and not self.missing.count and self.column.kind is Kind.NUMBER

    def _distinct_share(self) -> float:
        """The number of different cells among the compared ones, as a share of these."""
        if self._distinct is None:
            self._distinct = len(np.unique(self._first)) / max(1, len(self._first))
        return self._distinct

    def _look_at(self, present: np.ndarray, start: int, stored: np.ndarray) -> None:
        if not len(present):
            self._counts = False
            return
        self._lowest = min(self._lowest, float(present.min()))
        self._highest = max(self._highest, float(present.max()))
        if start < COMPARED:
            self._first = np.append(self._first, stored[: COMPARED - start])
        if self._whole:
            self._whole = bool((present == np.rint(present)).all())
        if self._counts:
            before = present[:1] - 1 if self._last is None else np.array([self._last])
            with np.errstate(invalid="ignore"):  # infinite cells are refused later
                self._counts = bool((np.diff(present, prepend=before) == 1).all())
            self._last = float(present[-1])


class CategoryReader:
    """Reads text as the number of its category, in order of appearance. Arguments: see `NumberReader`.

    Attributes:
        column: with its categories, after `places`, `check` or `useless`.
        missing: the rows of missing cells.
        infinite: none.
    """

    def __init__(self, column: Column, rows: int, rules: Rules, *, known: bool) -> None:
        self.rows, self.rules, self._known = rows, rules, known
        self.missing, self.infinite = Rows(), Rows()
        self._column = column
        self._numbers: dict[str, int] = {}
        self._counts = np.zeros(0, np.int64)
        self._row_of: list[int] = []
        self._size = 0

    @property
    def column(self) -> Column:
        if self._known:
            return self._column
        return replace(self._column, categories=sorted(self._numbers))

    def add(self, start: int, cells: pa.Array) -> np.ndarray:
        """The next cells. Shape: [B], float32."""
        import pyarrow as pa

        found = distinct(cells if pa.types.is_dictionary(cells.type) else cells.cast(pa.string()))
        numbers = np.empty(len(found.cells), np.float32)
        each = zip(found.cells, found.first.tolist(), found.counts.tolist(), strict=True)
        for at, (cell, row, count) in enumerate(each):
            text = "" if cell is None else str(cell).strip()
            numbers[at] = self._number(text, start + row, count) if text else np.nan
        stored = numbers[found.inverse]
        missing = np.isnan(stored)
        if missing.any():
            self.missing.add(start + missing.nonzero()[0])
        return stored

    def places(self) -> np.ndarray:
        """The position of each number's category among `column.categories`; -1 if it is not there."""
        position = {name: at for at, name in enumerate(self.column.categories)}
        return np.array([position.get(name, -1) for name in self._numbers], np.int64)

    def unseen(self) -> int:
        """The number of cells whose text is not among `column.categories`."""
        known = set(self.column.categories)
        return sum(int(self._counts[at]) for text, at in self._numbers.items() if text not in known)

    def check(self) -> None:
        """Raise `BadInput` for numbers among which some cells are text, and for too many categories."""
        name = self._column.name
        total = int(self._counts.sum())
        text = [each for each in self._numbers if not looks_numeric(each) or DATE.fullmatch(each)]
        mistakes = sum(int(self._counts[self._numbers[each]]) for each in text)
        share = 1 - mistakes / max(1, total)
        many = len(self._numbers) - len(text) > MANY_NUMBERS
        if text and (share >= NUMERIC or (share >= NUMERIC_OF_MANY and many)):
            row = self._row_of[self._numbers[text[0]]]
            fix = (
                f"{name!r} has {text[0][:40]!r} in row {row} (the first is 0), and numbers elsewhere; "
                f"{override('csv.na_values', [text[0]])} makes it a missing cell, {override('drop', [name])} "
                "leaves the column out"
            )
            raise BadInput("path", "", fix)
        if self.rules.chosen and len(self._numbers) > self.rules.most_categories:
            fix = f"{name!r} has {len(self._numbers)} different texts"
            raise BadInput("max_categories", self.rules.most_categories, fix)

    def useless(self) -> str | None:
        """Why the column says nothing about a row; None if it may."""
        count, present = len(self._numbers), self.rows - self.missing.count
        if not count:
            return "empty"
        if count == 1 and not self.missing.count:
            return "constant"
        example = next(iter(self._numbers))[:40]
        if all(map(DATE.fullmatch, self._numbers)):
            return f"dates, such as {example!r}; {_date_fix(self._numbers)} makes them numbers of days"
        numbers = sum(map(bool, map(MEASURE.fullmatch, self._numbers)))
        if numbers >= NUMERIC * count and (count > MANY_NUMBERS or count == present >= FEW):
            return (
                f"numbers with other text, such as {example!r}, or in another format than the rest (see "
                "data.csv.decimal, data.csv.thousands); write bare numbers to use them"
            )
        if count == present and present >= FEW:
            return "text that differs in every row"
        if count > self.rules.most_categories:
            return f"text with {count:,} values; data.max_categories={count} keeps it"
        return None

    def may_be_names(self) -> bool:
        """Text that differs in every row is left out."""
        return False

    def _number(self, text: str, row: int, count: int) -> int:
        number = self._numbers.get(text)
        if number is None:
            number = self._numbers[text] = len(self._numbers)
            self._row_of.append(row)
            self._size += CATEGORY + len(text)
            check_room(self._size, f"the texts of {self._column.name!r}")
            if number >= len(self._counts):
                self._counts = np.append(self._counts, np.zeros(max(16, len(self._counts)), np.int64))
        self._counts[number] += count
        return number


def _date_fix(dates: Iterable[str]) -> str:
    """The keys that read dates, with their format if it is clear."""
    if all(re.fullmatch(r"\d{1,2}\.\d{1,2}\.\d{4}", date) for date in dates):
        form = "%d.%m.%Y"
    elif all(re.fullmatch(r"\d{4}/\d{1,2}/\d{1,2}", date) for date in dates):
        form = "%Y/%m/%d"
    else:
        return "data.dates=number with their data.date_format, as in data.date_format=%d/%m/%Y,"
    return f"data.dates=number data.date_format={form}"


def _origin(lowest: float, highest: float) -> float:
    """0, or the middle of the range if float32 would round the distances between numbers so large."""
    size = max(abs(lowest), abs(highest))
    if not np.isfinite(size) or size * 2.0**-24 <= PRECISION * (highest - lowest) or lowest == highest:
        return 0.0
    return float((lowest + highest) / 2)
