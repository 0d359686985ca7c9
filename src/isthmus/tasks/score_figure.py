"""Draws scores: their histogram with the threshold, and the ROC and precision-recall curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from isthmus.tasks.ranking import Ranking
from isthmus.training.figures.drawing import plain_text, save_figure
from isthmus.training.figures.errors import histogram

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_CURVES = 10


def draw_scores(
    path: Path,
    groups: Mapping[str, np.ndarray],
    rankings: Sequence[Ranking],
    *,
    threshold: float,
    score: str,
    title: str,
) -> Path:
    """Write a picture of scores.

    Args:
        path: a .png file, written atomically.
        groups: scores by what they are of, such as validation rows. Shape: [N] each.
        rankings: whose curves are drawn, the first `MOST_CURVES`; may be empty.
        threshold: see `Detection`.
        score: its name.
        title: what was scored by what.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13 if rankings else 6.5, 4), dpi=120, layout="constrained")
    axes = figure.subplots(1, 3 if rankings else 1, squeeze=False)[0]
    figure.suptitle(plain_text(title, 120), fontsize=10)
    histogram(axes[0], groups, xlabel=f"{score} score; larger ones in the last bin", threshold=threshold)
    for ranking in rankings[:MOST_CURVES]:
        name = f"{plain_text(ranking.anomalies, 30)} " if len(rankings) > 1 else ""
        axes[1].plot(
            ranking.false_positive_rate, ranking.true_positive_rate, label=f"{name}{ranking.auroc:.3f}"
        )
        axes[2].plot(ranking.recall, ranking.precision, label=f"{name}{ranking.average_precision:.3f}")
    if rankings:
        axes[1].plot([0, 1], [0, 1], color="grey", linewidth=0.8, linestyle=":")
        _curve(axes[1], "false positive rate", "true positive rate", "ROC curve, and its area")
        _curve(axes[2], "recall", "precision", "precision and recall, and average precision")
    return save_figure(figure, path)


def _curve(axes: Axes, x: str, y: str, title: str) -> None:
    axes.set(xlabel=x, ylabel=y, xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    axes.set_title(title, fontsize=9)
    axes.legend(fontsize=7)
