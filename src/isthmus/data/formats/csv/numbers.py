"""Numbers that Arrow reads as text: with currency and per cent signs, thousands separators and markers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from isthmus.data.formats.csv.marks import APOSTROPHES, BLANKS, SIGNS, Marks, looks_numeric
from isthmus.data.formats.csv.options import CSVOptions

if TYPE_CHECKING:
    import pyarrow as pa

TRIED = 1000  # cells that are looked at before a column is converted


def numbers_in(column: pa.ChunkedArray, marks: Marks, options: CSVOptions) -> pa.ChunkedArray | None:
    """The numbers in a column of text; None if it is of another type or some cells are not numbers.

    Cells may have a currency or per cent sign, which must be the same for all, thousands separators, a minus
    at the end or parentheses for negative amounts, and markers such as "?" for a missing number.
    """
    import pyarrow as pa
    from pyarrow import compute

    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return None
    text = compute.utf8_trim_whitespace(column)
    missing = compute.is_in(text, pa.array(options.missing_numbers, text.type))
    text = compute.if_else(missing, None, text)
    tried = [cell for cell in text.slice(0, TRIED).to_pylist() if cell]
    if text.null_count == len(text) or (tried and not any(map(_may_be, tried))):
        return None
    text = compute.replace_substring(compute.replace_substring(text, "\u2212", "-"), "\u2019", "'")
    text = compute.replace_substring_regex(text, r"^\((.*)\)$", r"-\1")
    if (text := _without_signs(text)) is None:
        return None
    text = compute.replace_substring_regex(text, r"^([^-]*\d)-$", r"-\1")
    decimal = re.escape(marks.decimal)
    for thousands in _separators(marks):
        mark = f"[{BLANKS}]" if thousands == " " else re.escape(thousands)
        grouped = rf"^[+-]?[1-9]\d{{0,2}}({mark}\d{{3}})+({decimal}\d*)?$"
        plain = compute.replace_substring_regex(text, mark, "")
        text = compute.if_else(compute.match_substring_regex(text, grouped), plain, text)
    number = rf"^[+-]?(\d+({decimal}\d*)?|{decimal}\d+)([eE][+-]?\d+)?$"
    if not compute.all(compute.match_substring_regex(text, number)).as_py():
        return None
    if marks.decimal != ".":
        text = compute.replace_substring(text, marks.decimal, ".")
    text = compute.replace_substring_regex(text, r"^\+", "")
    return text.cast(pa.float64())


def _separators(marks: Marks) -> list[str]:
    """Where the comma is the decimal mark, points can only group digits, even if the sample has none."""
    both = [marks.thousands, "." if marks.decimal == "," else ""]
    return list(dict.fromkeys(each for each in both if each))


def _without_signs(text: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """The cells without currency or per cent signs; None if these differ, or only some have a %."""
    from pyarrow import compute

    sign = rf"({SIGNS})"
    marked = compute.match_substring_regex(text, rf"^-?{sign}|{sign}$")
    if not compute.any(marked).as_py():
        return text
    some = text.filter(marked)
    found = compute.unique(compute.replace_substring_regex(some, rf"^.*?{sign}.*$", r"\1")).to_pylist()
    if len(found) > 1 or (found == ["%"] and len(some) < len(text) - text.null_count):
        return None
    text = compute.replace_substring_regex(text, rf"^(-?){sign}[{BLANKS}]*", r"\1")
    return compute.replace_substring_regex(text, rf"[{BLANKS}]*{sign}$", "")


def _may_be(cell: str) -> bool:
    return looks_numeric(cell.strip("()-" + BLANKS + APOSTROPHES))
