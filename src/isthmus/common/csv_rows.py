"""The rows of a CSV file that anybody may have written, read with limits. Imports no torch."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

LARGEST = 1 << 30  # bytes of a file
LONGEST = 1 << 20  # characters of a line


def read_rows(path: Path) -> Iterator[dict[str, str]]:
    """Column -> text, row by row.

    Raises:
        ValueError: where `path` is no regular file (a pipe would be waited for), is larger than a run's
            metrics.csv can be, or has a row with more or fewer cells than the first line.
        OSError: where it may not be read.
    """
    if not path.is_file():
        raise ValueError("is not a file")
    if path.stat().st_size > LARGEST:
        raise ValueError(f"is larger than {LARGEST >> 30} GB")
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        try:
            for row in csv.DictReader(_lines(file), restkey="", restval=None):
                if "" in row or None in row.values():
                    raise ValueError("has a row with more or fewer cells than there are columns")
                yield row
        except csv.Error as error:
            raise ValueError(str(error)) from error


def _lines(file: TextIO) -> Iterator[str]:
    while line := file.readline(LONGEST):
        if len(line) == LONGEST:
            raise ValueError("has a line too long to read")
        yield line
