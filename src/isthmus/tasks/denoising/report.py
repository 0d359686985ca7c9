"""Writes an evaluation to a folder: a table, a curve, and a picture of denoised images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from torch import Tensor

from isthmus.tasks.denoising.evaluation import MODEL, NOISY, TITLES, Score, Shown
from isthmus.tasks.outputs.files import write_csv
from isthmus.tasks.outputs.places import made
from isthmus.training.figures.drawing import save_figure
from isthmus.training.writers.image_grid import to_unit

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INCH = 0.9  # of an image in the picture
STYLES: dict[str, dict[str, Any]] = {
    MODEL: {"color": "black", "linewidth": 2.5},
    NOISY: {"color": "grey", "linestyle": "--"},
}


def write_report(
    folder: Path, scores: Sequence[Score], shown: Shown | None, value_range: tuple[float, float]
) -> list[Path]:
    """Write denoising.csv, denoising.png and, of images, denoised.png.

    Args:
        folder: made if it is missing.
        scores: of all levels and methods.
        shown: images at a level.
        value_range: the values shown as black and white; infinite ends are taken from the clean images.

    Returns:
        The files.
    """
    made(folder)
    columns = {name: [getattr(score, name) for score in scores] for name in Score._fields}
    bounded = math.isfinite(scores[0].psnr) or math.isinf(scores[0].psnr)
    for name in ("psnr", "ssim"):
        if not bounded:
            columns[name] = [None] * len(scores)
    types = {"psnr": pa.float64(), "ssim": pa.float64()}
    table = pa.table({name: pa.array(each, types.get(name)) for name, each in columns.items()})
    files = [write_csv(folder / "denoising.csv", table)]
    files.append(save_figure(_curve(scores, bounded=bounded), folder / "denoising.png"))
    if shown is not None:
        files.append(save_figure(_picture(shown, value_range), folder / "denoised.png"))
    return files


def _curve(scores: Sequence[Score], *, bounded: bool) -> Figure:
    """Error against the standard deviation of the noise, a line for each method."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    for name in dict.fromkeys(score.method for score in scores):
        own = [score for score in scores if score.method == name]
        values = [score.psnr if bounded else math.sqrt(score.mse) for score in own]
        style = STYLES.get(name, {})
        axes.plot([score.level for score in own], values, marker="o", label=TITLES[name], **style)
    axes.set_xlabel("standard deviation of the noise")
    axes.set_ylabel("PSNR (dB)" if bounded else "root mean squared error")
    axes.grid(alpha=0.3)
    axes.legend()
    return figure


def _picture(shown: Shown, value_range: tuple[float, float]) -> Figure:
    """A row for each method, a column for each image."""
    from matplotlib.figure import Figure

    rows = shown.images
    columns = len(rows["clean"])
    if not math.isfinite(value_range[1] - value_range[0]):
        value_range = rows["clean"].min().item(), rows["clean"].max().item()
    figure = Figure(figsize=(INCH * columns + 1.6, INCH * len(rows) + 0.4), dpi=120, layout="constrained")
    figure.suptitle(f"Gaussian noise of standard deviation {shown.level:g}", fontsize=10)
    places = figure.subplots(len(rows), columns, squeeze=False)
    for (name, images), line in zip(rows.items(), places, strict=True):
        for image, axes in zip(images, line, strict=True):
            axes.imshow(_pixels(image, value_range), cmap="gray", vmin=0, vmax=1)
            axes.set(xticks=[], yticks=[])
        title = "\n".join(TITLES.get(name, name).split(" "))
        line[0].set_ylabel(title, rotation=0, ha="right", va="center", fontsize=9)
    return figure


def _pixels(image: Tensor, value_range: tuple[float, float]) -> np.ndarray:
    """Shape: [C, H, W] -> [H, W] or [H, W, 3]; of other channels, the first."""
    pixels = to_unit(image, value_range).numpy()
    return np.moveaxis(pixels, 0, 2) if len(pixels) == 3 else pixels[0]
