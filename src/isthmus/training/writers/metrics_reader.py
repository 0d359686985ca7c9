"""Reads the metrics.csv of a run folder of any format. Imports no torch."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from isthmus.common.csv_rows import read_rows

if TYPE_CHECKING:
    import numpy as np

STAGES = ("train/", "val/")
RATE = "lr"  # logged beside the metrics of an epoch
MOST_EPOCHS = 1e15  # differences of larger floats are not exact
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


def read_history(path: Path) -> dict[str, list[float]]:
    """Metric -> its value after each epoch, NaN where it was not logged; and ``epoch``.

    Args:
        path: a metrics.csv; a missing one has no epochs. Cells that are no numbers are skipped.

    Raises:
        ValueError, OSError: see `isthmus.common.csv_rows.read_rows`.
    """
    epochs: dict[float, dict[str, float]] = {}
    for row in read_metrics(path) if path.is_file() else ():
        found = _numbers(row)
        logged = {name: value for name, value in found.items() if name.startswith(STAGES)}
        of_step = any(name.endswith("_step") for name in logged)
        if logged and not of_step and abs(epoch := found.get("epoch", math.nan)) < MOST_EPOCHS:
            rate = {RATE: found[RATE]} if RATE in found else {}
            epochs.setdefault(epoch, {}).update(logged | rate)
    names = sorted({name for row in epochs.values() for name in row})
    columns = {name: [row.get(name, math.nan) for row in epochs.values()] for name in names}
    return {"epoch": [*epochs], **columns}


def history_arrays(path: Path) -> dict[str, np.ndarray]:
    """As `read_history`. Shape: [E] each; ``epoch`` are integers."""
    import numpy as np

    return {
        name: np.array(each, int if name == "epoch" else float) for name, each in read_history(path).items()
    }


def _numbers(row: Mapping[str, str]) -> dict[str, float]:
    found = {}
    for name, text in row.items():
        with contextlib.suppress(ValueError):
            found[name] = float(text)
    return found


def is_test(row: dict[str, str]) -> bool:
    """Whether a row has the metrics of the test."""
    return any(text and name.startswith("test/") for name, text in row.items())
