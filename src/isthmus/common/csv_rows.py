"""Reads the rows of an untrusted CSV file, with size limits. Imports no torch."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

LARGEST = 1 << 30  # bytes of a file
LONGEST = 1 << 20  # characters of a line


def read_rows(path: Path) -> Iterator[dict[str, str]]:
    """Yield each row as a dict from column to text.

    Raises:
        ValueError: `path` is not a regular file (reading a pipe would block), is larger than `LARGEST`, or
            has a line of `LONGEST` characters or a row with more or fewer cells than the header.
        OSError: it cannot be read.
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
