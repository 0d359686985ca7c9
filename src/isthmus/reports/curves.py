"""The metrics of the epochs as charts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from isthmus.common.messages import number, printable
from isthmus.reports.line_chart import Line, line_chart
from isthmus.reports.metrics import UNITS, meaning
from isthmus.reports.page import Chart
from isthmus.training.figures.metrics_shown import any_drawn, is_drawn, is_logarithmic, metrics_to_draw
from isthmus.training.writers.metrics_reader import RATE

STAGES = ("train", "val")  # that a line is drawn for
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
    ordered = metrics_to_draw(history)
    if len({rate for rate in history.get(RATE, ()) if math.isfinite(rate)}) > 1:
        ordered.append(RATE)
    charts: list[Chart] = []
    for name in ordered:
        columns = {stage: history.get(f"{stage}/{name}", ()) for stage in STAGES}
        if name == RATE:
            columns = {"train": history[RATE]}
        shown = {stage: column for stage, column in columns.items() if any_drawn(column)}
        lines = [Line(stage, history["epoch"], column) for stage, column in shown.items()]
        if lines and len(charts) < MOST:
            charts.append(_chart(name, lines, regularizers, best))
    return charts, ordered[MOST:] if len(charts) == MOST else []


def _chart(name: str, lines: Sequence[Line], regularizers: Sequence[str], best: Any) -> Chart:
    unit = f", {UNITS[name]}" if name in UNITS else ""
    scale = ", logarithmic scale" if is_logarithmic(y for line in lines for y in line.y) else ""
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


def _last(column: Sequence[float]) -> float:
    return next(value for value in reversed(column) if is_drawn(value))
