"""The layout of a CSV file: its separator, header, title and comments.

What is not given is detected from the beginning of the file.
"""

from __future__ import annotations

import re
from itertools import zip_longest
from typing import NamedTuple

from isthmus.common.errors import BadInput
from isthmus.data.formats.csv.header import Header, find_header
from isthmus.data.formats.csv.marks import Marks, Numbers
from isthmus.data.formats.csv.options import CSVOptions, word
from isthmus.data.formats.csv.rows import SEPARATORS, Parse

SAMPLE = 256 << 10  # characters that the detection reads
SEPARATOR_LINE = re.compile(r'"?sep=(.)"?\s*')  # the first line of files for Excel


class CSVFormat(NamedTuple):
    """How to read a CSV file.

    Attributes:
        encoding: name of a Python codec.
        separator: one character; a space stands for any run of spaces and tabs.
        marks: of numbers.
        header: the names of the columns.
        lines: number of lines to skip at the beginning of the file: its title, comments and header.
        points_seen: whether points in the sample can only be decimal ones, or the user says so.
    """

    encoding: str
    separator: str
    marks: Marks
    header: Header
    lines: int
    points_seen: bool

    def describe(self) -> str:
        """The format in words, without what is usual."""
        said = []
        if self.encoding != "utf-8":
            said.append(self.encoding)
        if self.separator != ",":
            said.append(f"separated by {word(self.separator)}")
        if self.marks.decimal != ".":
            said.append("decimal comma")
        if self.marks.thousands:
            said.append(f"thousands separated by {word(self.marks.thousands)}")
        return ", ".join([*said, *self.header.describe()])


def detect(
    sample: str, complete: bool, encoding: str, options: CSVOptions, usual: Marks | None = None
) -> CSVFormat:
    """The format of a file.

    Args:
        sample: its first characters, decoded.
        complete: whether the sample is the whole file.
        encoding: its encoding.
        options: what is known.
        usual: the marks of other files of the same table; None if there are none.

    Raises:
        BadInput: the sample has no rows, or its numbers can be read in two ways.
    """
    lines = sample.splitlines(keepends=True)
    if not complete and len(lines) > 1:
        lines.pop()  # may be cut off
    skipped = options.skip_rows or 0
    if lines[skipped:] and (said := SEPARATOR_LINE.fullmatch(lines[skipped])):
        options = options._replace(separator=said[1] if options.separator == "auto" else options.separator)
        skipped += 1
    lines = lines[skipped:]
    candidates = (*SEPARATORS, " ") if options.separator == "auto" else (options.separator,)
    parses = sorted((Parse.of(lines, each, options) for each in candidates), key=lambda parse: parse.score)
    best = parses[-1]
    if best.separator == " " and not best.from_the_top and len(parses) > 1 and parses[-2].fits:
        best = parses[-2]  # cells with blanks in them, such as 1.5 kg
    if not best.rows:
        if options.skip_rows:
            raise BadInput("csv.skip_rows", options.skip_rows, "leaves no rows")
        raise BadInput("path", "", "has no rows")
    if options.separator == "auto" and (halves := _halves(best)):
        if "," not in (options.decimal, usual.decimal if usual else ""):
            fix = "can be one number or two cells; give data.csv.decimal=comma or data.csv.separator=comma"
            raise BadInput("csv.separator", "auto", f"{','.join(halves)} {fix}")
        best = Parse.of(lines, ";", options)
    columns = list(zip_longest(*(row.cells for row in best.rows[best.start :]), fillvalue=""))
    numbers = Numbers.of(columns)
    marks = numbers.marks(best.separator, options, usual)
    header = find_header(best, marks, options)
    points_seen = options.decimal != "auto" or usual is not None or numbers.has_decimal_points
    return CSVFormat(encoding, best.separator, marks, header, skipped + header.lines, points_seen)


def _halves(parse: Parse) -> list[str] | None:
    """The cells of a row, if one column of numbers with decimal commas looks like two of whole numbers."""
    if parse.separator != "," or parse.width != 2 or len(parse.rows[parse.start].cells) != 1:
        return None
    rest = [row.cells for row in parse.rows[parse.start + 1 :]]
    whole = all(len(cells) == 2 and all(re.fullmatch(r"[+-]?\d+", cell) for cell in cells) for cells in rest)
    return rest[0] if rest and whole else None
