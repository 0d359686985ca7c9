"""The final metrics as a table: units, and what each name means in plain words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from isthmus.common.messages import number
from isthmus.reports.page import Table

STAGES = {"train": "training", "val": "validation", "test": "test"}
UNITS = {"psnr": "dB", "kl": "nats"}
MEANINGS = {
    "loss": "minimised: reconstruction plus weighted regularizers",
    "reconstruction": "the reconstruction part of the loss, per example",
    "mse": "mean squared error of a value, in the scale of training",
    "mae": "mean absolute error of a value, in the scale of training",
    "bce": "binary cross-entropy of a value, in nats",
    "psnr": "peak signal-to-noise ratio; higher is better",
    "ssim": "structural similarity of images; 1 is identical",
    "kl": "divergence of the codes from the prior, unweighted",
    "active_units": "numbers of the code that vary with the input",
    "l1_activity": "sum of the absolute values of a code",
    "lr": "learning rate",
}


def by_stage(results: Mapping[str, Any], stages: Sequence[str]) -> dict[str, dict[str, float]]:
    """``{"test/mse": 1.0}`` -> ``{"test": {"mse": 1.0}}``, scalars only, without empty stages."""
    columns = {
        stage: {
            name.removeprefix(f"{stage}/"): value
            for name, value in results.items()
            if name.startswith(f"{stage}/") and isinstance(value, int | float)
        }
        for stage in stages
    }
    return {stage: column for stage, column in columns.items() if column}


def short(value: float) -> str:
    """A metric to four digits; whole numbers in full."""
    if isinstance(value, int) or (abs(value) < 1e15 and value == int(value)):
        return number(value)
    return f"{value:.4g}"


def unit_of(name: str) -> str:
    """The unit of a metric, or "" if it has none."""
    return UNITS.get(name, "")


def meaning(name: str, regularizers: Sequence[str] = ()) -> str:
    """What a metric is, in a few words; "" if that is not known."""
    return MEANINGS.get(name) or ("a regularizer, unweighted" if name in regularizers else "")


def metrics_table(results: Mapping[str, Any], regularizers: Sequence[str]) -> Table | None:
    """Metrics as rows, with their meanings; stages as columns. None if there are no metrics."""
    columns = by_stage(results, tuple(STAGES))
    if not columns:
        return None
    names = dict.fromkeys(name for column in columns.values() for name in column)
    if all(column.get("loss") == column.get("reconstruction") for column in columns.values()):
        names.pop("reconstruction", None)  # without regularizers, it is the loss
    rows = [
        [
            f"{name} ({unit})" if (unit := unit_of(name)) else name,
            *(short(column[name]) if name in column else "" for column in columns.values()),
        ]
        for name in names
    ]
    head = ["metric", *(STAGES[stage] for stage in columns)]
    notes = [meaning(name, regularizers) for name in names]
    return Table(head, rows, numbers=range(1, len(head)), notes=notes)
