"""Draws scores: their histogram with the threshold, and the ROC and precision-recall curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from isthmus.tasks.outputs.figures import plain_text, save_figure
from isthmus.tasks.ranking import Ranking

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BINS = 40
MOST_CURVES = 10
COLOURS = ("#0072b2", "#d55e00", "#009e73")  # Okabe and Ito: told apart by the colour-blind


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
    _histogram(axes[0], groups, threshold, score)
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


def _histogram(axes: Axes, groups: Mapping[str, np.ndarray], threshold: float, score: str) -> None:
    """Densities of the scores of each group. Scores off the scale are counted in the outermost bins."""
    every = np.concatenate([each for each in groups.values() if len(each)])
    low, high = (float(np.quantile(every, share)) for share in (0, 0.99))
    high = max(high, threshold + 0.1 * (threshold - low)) if np.isfinite(threshold) else high
    edges: Any = np.linspace(low, high if high > low else low + 1, BINS + 1)
    for (name, scores), colour in zip(groups.items(), COLOURS, strict=False):
        if len(scores):
            counted = np.clip(scores, edges[0], edges[-1])
            weights = np.full(len(scores), 1 / len(scores))
            label = f"{name} ({len(scores):,})"
            axes.hist(counted, edges, weights=weights, histtype="stepfilled", alpha=0.3, color=colour)
            axes.hist(counted, edges, weights=weights, histtype="step", color=colour, label=label)
    if np.isfinite(threshold):
        axes.axvline(
            threshold, color="black", linewidth=1, linestyle="--", label=f"threshold {threshold:.3g}"
        )
    axes.set_xlabel(f"{score} score; larger ones in the last bin")
    axes.set_ylabel("share of rows")
    axes.legend(fontsize=7)


def _curve(axes: Axes, x: str, y: str, title: str) -> None:
    axes.set(xlabel=x, ylabel=y, xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    axes.set_title(title, fontsize=9)
    axes.legend(fontsize=7)
