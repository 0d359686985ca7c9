"""Draws scores: their histogram with the threshold, ROC and precision-recall curves, and the highest ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from isthmus.common.listing import class_name
from isthmus.tasks.inputs.examples import Examples
from isthmus.tasks.scoring.ranking import Ranking
from isthmus.tasks.trained_model import TrainedModel
from isthmus.training.figures.colours import PALETTE
from isthmus.training.figures.drawing import entitle, margins, plain_text, save_figure
from isthmus.training.figures.errors import histogram
from isthmus.training.figures.images import draw_images, shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIZE = (5.6, 4.2)  # inches
MOST_IMAGES = 8
COLUMNS = ("input", "reconstruction", "share of the error")
SIDE = 1.05  # inches of an image
Line = tuple[str, np.ndarray, np.ndarray]  # label, x, y


def draw_scores(
    path: Path, groups: Mapping[str, np.ndarray], *, threshold: float, score: str, title: str
) -> Path:
    """Write the histogram of scores.

    Args:
        path: a .png file, written atomically.
        groups: scores by what they are of, such as validation rows. Shape: [N] each.
        threshold: see `Detection`.
        score: its name.
        title: what was scored by what.
    """
    figure, axes = _panel(f"Scores ({score})", title)
    histogram(axes, groups, xlabel="score", threshold=threshold)
    return save_figure(figure, path)


def draw_roc(path: Path, rankings: Sequence[Ranking], *, title: str) -> Path:
    """Write the ROC curves of the first rankings, one for each colour; see `draw_scores`."""
    lines = [
        (f"{_name(each)}{each.auroc:.3f}", each.false_positive_rate, each.true_positive_rate)
        for each in rankings
    ]
    axes_names = ("false positive rate", "true positive rate")
    return _curves(path, "ROC curve", title, lines, axes_names, legend="area", chance=True)


def draw_precision_recall(path: Path, rankings: Sequence[Ranking], *, title: str) -> Path:
    """Write the precision-recall curves; see `draw_roc`."""
    lines = [(f"{_name(each)}{each.average_precision:.3f}", each.recall, each.precision) for each in rankings]
    legend = "average precision"
    return _curves(path, "Precision and recall", title, lines, ("recall", "precision"), legend=legend)


def draw_anomalies(path: Path, model: TrainedModel, examples: Examples, scores: np.ndarray) -> Path:
    """Write a picture of the images with the highest scores, the highest first.

    Beside each image and its reconstruction, the share of each pixel in the error (see
    `TrainedModel.explain`), summed over channels: from none in black to the image's largest in yellow.

    Args:
        path: a .png file, written atomically.
        model: of images.
        examples: N of them, at least one with a score.
        scores: NaN for examples without one. Shape: [N].
    """
    from matplotlib import colormaps

    highest = np.argsort(-scores, kind="stable")[: min(MOST_IMAGES, int((~np.isnan(scores)).sum()))]
    given = model.given_back(torch.cat([examples.take(row, row + 1) for row in highest.tolist()]))
    back, share = model.reconstruct(given), model.explain(given).sum(1)
    heat = colormaps["inferno"](share / share.max((1, 2), keepdims=True).clip(min=1e-30))[..., :3]
    rows = []
    for place, row in enumerate(highest.tolist()):
        pair = (torch.from_numpy(each[place]) for each in (given, back))
        images = [*(shown(image, model.displayed_range) for image in pair), heat[place]]
        rows.append((_lines(examples, row, float(scores[row])), images))
    title = f"The {len(rows)} highest scores of {len(scores):,} images"
    return save_figure(draw_images(rows, title=title, columns=COLUMNS, inch=SIDE), path)


def _lines(examples: Examples, row: int, score: float) -> str:
    """Name, class and score in a line each."""
    place = examples.row_numbers(slice(row, row + 1))[0]
    lines = [f"row {place}" if examples.names is None else str(examples.names[row]).replace("\n", " ")]
    if examples.labels is not None:
        name = class_name(int(examples.labels[row]), examples.label_names)
        lines.append(f"class {name}".replace("\n", " "))
    return "\n".join([*lines, f"score {score:.4g}"])


def _name(ranking: Ranking) -> str:
    return f"{plain_text(ranking.anomalies, 24)}: "


def _panel(title: str, note: str) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=SIZE, dpi=120)
    axes = figure.subplots()
    margins(figure, left=0.75, right=0.15, bottom=0.55)
    entitle(figure, title, note)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _curves(
    path: Path,
    title: str,
    note: str,
    lines: Sequence[Line],
    names: Iterable[str],
    *,
    legend: str,
    chance: bool = False,
) -> Path:
    if len(lines) > len(PALETTE):
        note += f"; {len(PALETTE)} of {len(lines):,} classes"
    figure, axes = _panel(title, note)
    for (label, x, y), colour in zip(lines, PALETTE, strict=False):
        axes.plot(x, y, color=colour, label=label, linewidth=1.6)
    if chance:
        axes.plot([0, 1], [0, 1], color="grey", linewidth=0.8, linestyle=":")
    x_name, y_name = names
    axes.set(xlabel=x_name, ylabel=y_name, xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    axes.grid(alpha=0.25)
    axes.legend(fontsize=8, framealpha=0.85, edgecolor="none", title=legend, title_fontsize=8)
    return save_figure(figure, path)
