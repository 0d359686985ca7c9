"""The metrics of the epochs as charts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from isthmus.common.messages import number, printable
from isthmus.reports.line_chart import Line, is_drawn, is_logarithmic, line_chart
from isthmus.reports.metrics import UNITS, meaning
from isthmus.reports.page import Chart
from isthmus.training.writers.metrics_reader import RATE

STAGES = ("train", "val")  # that a line is drawn for
FIRST = ("loss", "reconstruction", "mse", "psnr", "ssim", "bce", "kl", "active_units")
LEFT_OUT = ("mae",)  # which looks like the mse
MOST = 12


def curves(
    history: Mapping[str, Sequence[float]], regularizers: Sequence[str], best: Any
) -> tuple[list[Chart], list[str]]:
    """A chart for each metric with a line for training and one for validation; and what is not drawn.

    Args:
        history: see `training.writers.metrics_reader.read_history`.
        regularizers: their names.
        best: the epoch of the best checkpoint, which is marked; None if there is none yet.
    """
    names = {name.partition("/")[2] for name in history if "/" in name} - {*LEFT_OUT}
    if all(history.get(f"{stage}/loss") == history.get(f"{stage}/reconstruction") for stage in STAGES):
        names.discard("reconstruction")
    known = [name for name in FIRST if name in names]
    ordered = [*known, *sorted(names.difference(known))]
    if len({rate for rate in history.get(RATE, ()) if math.isfinite(rate)}) > 1:
        ordered.append(RATE)
    charts: list[Chart] = []
    for name in ordered:
        columns = {stage: history.get(f"{stage}/{name}", ()) for stage in STAGES}
        if name == RATE:
            columns = {"train": history[RATE]}
        lines = [Line(stage, history["epoch"], column) for stage, column in columns.items() if _any(column)]
        if lines and len(charts) < MOST:
            charts.append(_chart(name, lines, regularizers, best))
    return charts, ordered[MOST:] if len(charts) == MOST else []


def _chart(name: str, lines: Sequence[Line], regularizers: Sequence[str], best: Any) -> Chart:
    unit = f", {UNITS[name]}" if name in UNITS else ""
    scale = ", logarithmic scale" if is_logarithmic(lines) else ""
    last = "; ".join(f"{line.name} {number(_last(line.y))} at the end" for line in lines)
    shown = printable(name, 40)
    return Chart(
        f"{shown}{unit}{scale}",
        meaning(name, regularizers),
        line_chart(
            f"{shown} of each epoch: {last}",
            lines,
            x_label="epoch",
            marked=best if isinstance(best, int) and not isinstance(best, bool) else None,
        ),
    )


def _any(column: Sequence[float]) -> bool:
    return any(map(is_drawn, column))


def _last(column: Sequence[float]) -> float:
    return next(value for value in reversed(column) if is_drawn(value))
