"""The metrics of each epoch of a run, from its metrics.csv. Imports no torch."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping
from pathlib import Path

from isthmus.training.writers.metrics_reader import read_metrics

STAGES = ("train/", "val/")
RATE = "lr"  # logged beside the metrics of an epoch


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
        if logged and not of_step and math.isfinite(epoch := found.get("epoch", math.nan)):
            rate = {RATE: found[RATE]} if RATE in found else {}
            epochs.setdefault(epoch, {}).update(logged | rate)
    names = sorted({name for row in epochs.values() for name in row})
    columns = {name: [row.get(name, math.nan) for row in epochs.values()] for name in names}
    return {"epoch": [*epochs], **columns}


def _numbers(row: Mapping[str, str]) -> dict[str, float]:
    found = {}
    for name, text in row.items():
        with contextlib.suppress(ValueError):
            found[name] = float(text)
    return found
