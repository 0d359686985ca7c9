"""Reads the metrics.csv of a run folder of any format. Imports no torch."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from isthmus.common.csv_rows import read_rows

if TYPE_CHECKING:
    import numpy as np

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


def read_history(path: Path) -> dict[str, np.ndarray]:
    """Metric -> its value after each epoch, NaN where it was not logged; and ``epoch``. Shape: [E].

    All are empty if there is no such file; raises as `read_rows` does.
    """
    import numpy as np

    epochs: dict[float, dict[str, float]] = {}
    for row in read_metrics(path) if path.is_file() else ():
        found = {name: float(text) for name, text in row.items() if text}
        logged = {name: value for name, value in found.items() if name.startswith(("train/", "val/"))}
        if logged and not any(name.endswith("_step") for name in logged):
            epochs.setdefault(found["epoch"], {}).update(logged)
    names = sorted({name for row in epochs.values() for name in row})
    columns = {name: [row.get(name, math.nan) for row in epochs.values()] for name in names}
    return {"epoch": np.array([*epochs], dtype=int), **{key: np.array(each) for key, each in columns.items()}}


def is_test(row: dict[str, str]) -> bool:
    """Whether a row has the metrics of the test."""
    return any(text and name.startswith("test/") for name, text in row.items())
