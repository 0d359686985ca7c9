"""Reads the metrics.csv of a run folder of any format. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from isthmus.common.csv_rows import read_rows

LONGEST = 20  # digits of a number of epochs


def read_metrics(path: Path) -> Iterator[dict[str, str]]:
    """Column -> text, row by row; raises as `read_rows` does.

    Epochs count from 1. Before format 4 they counted from 0, except in the row of the test. Such a file is
    recognized by its first row, whatever the format of its folder: a resumed run has the newest.
    """
    from_zero = None
    for row in read_rows(path):
        epoch = row.get("epoch", "").removesuffix(".0")  # formats 1 and 2 wrote some as floats
        if from_zero is None:
            from_zero = epoch == "0"
        if from_zero and epoch.isdecimal() and len(epoch) < LONGEST and not is_test(row):
            row["epoch"] = str(int(epoch) + 1)
        yield row


def is_test(row: dict[str, str]) -> bool:
    """Whether a row has the metrics of the test."""
    return any(text and name.startswith("test/") for name, text in row.items())
