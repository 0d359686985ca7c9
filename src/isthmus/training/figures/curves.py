"""Draws metrics over epochs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from isthmus.training.figures.drawing import COLOURS, GREY, entitle, margins, plain_text
from isthmus.training.figures.metrics_shown import LARGEST, is_logarithmic, metrics_to_draw

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STAGES = {"train": "train", "val": "validation"}
UNITS = {"psnr": "psnr (dB)"}
MOST = 6  # metrics that are drawn
COLUMNS = 3
DOTS = 25  # epochs up to which each is marked


def draw_curves(history: Mapping[str, np.ndarray], best: int | None) -> Figure:
    """A panel for each metric, with lines for training and validation.

    Args:
        history: ``epoch``, counted from 1, and the values of metrics such as ``val/loss``, NaN where they
            were not logged. Shape: [E].
        best: the epoch of the best checkpoint, or None.
    """
    from matplotlib.figure import Figure

    names = metrics_to_draw(history)[:MOST]
    columns = min(COLUMNS, len(names))
    rows = -(-len(names) // columns)
    figure = Figure(figsize=(1.2 + 3.3 * columns, 0.9 + 2.6 * rows), dpi=110)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    margins(figure, left=0.75, right=0.15, bottom=0.5, wspace=0.28, hspace=0.38)
    for axes, name in zip(panels, names, strict=False):
        _panel(axes, history, name, best)
    for axes in panels[len(names) :]:
        axes.remove()
    panels[0].legend(fontsize=8, frameon=False)
    epochs = history["epoch"]
    count = f"{len(epochs):,} epoch{'s' * (len(epochs) != 1)}"
    entitle(figure, "Training", count if best is None else f"{count}; the best is epoch {best:,}")
    return figure


def _panel(axes: Axes, history: Mapping[str, np.ndarray], name: str, best: int | None) -> None:
    from matplotlib.ticker import FixedLocator, LogLocator, MaxNLocator

    epochs, every = history["epoch"], []
    for (stage, label), colour in zip(STAGES.items(), COLOURS, strict=False):
        values = history.get(f"{stage}/{name}")
        if values is None or not (known := np.abs(values) < LARGEST).any():
            continue
        every.append(values[known])
        marker = "." if known.sum() <= DOTS else None
        axes.plot(epochs[known], values[known], marker=marker, color=colour, label=label, linewidth=1.3)
        at = known & (epochs == best)
        if stage == "val":
            axes.plot(
                epochs[at], values[at], "o", color=colour, markersize=7, markerfacecolor="white", zorder=3
            )
    if best is not None:
        axes.axvline(best, color=GREY, linewidth=0.8, linestyle="--", zorder=0, label="best epoch")
    values, title = np.concatenate(every), UNITS.get(name, name)
    if is_logarithmic(values):
        axes.set_yscale("log")
        title += ", log scale"
        axes.yaxis.set_minor_locator(LogLocator(subs=(2, 3, 5)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter("{x:g}")
    axes.set_title(plain_text(title, 40), fontsize=9, loc="left")
    axes.set_xlabel("epoch", fontsize=8, labelpad=1)
    axes.tick_params(labelsize=8)
    axes.tick_params(which="minor", labelsize=7)
    whole = MaxNLocator("auto", integer=True)
    axes.xaxis.set_major_locator(FixedLocator([epochs[0]]) if len(epochs) == 1 else whole)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
