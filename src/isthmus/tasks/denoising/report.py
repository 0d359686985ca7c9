"""Writes an evaluation to a folder: a table, a curve, and a picture of denoised images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from isthmus.tasks.denoising.evaluation import MODEL, NOISY, Score, Shown
from isthmus.tasks.outputs.files import write_csv
from isthmus.tasks.outputs.places import made
from isthmus.training.figures.drawing import save_figure
from isthmus.training.figures.images import draw_images
from isthmus.training.figures.images import shown as pixels

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
        axes.plot([score.level for score in own], values, marker="o", label=name, **style)
    axes.set_xlabel("standard deviation of the noise")
    axes.set_ylabel("PSNR (dB)" if bounded else "root mean squared error")
    axes.grid(alpha=0.3)
    axes.legend()
    return figure


def _picture(shown: Shown, value_range: tuple[float, float]) -> Figure:
    """A row for each method, a column for each image."""
    rows = shown.images
    if not math.isfinite(value_range[1] - value_range[0]):
        value_range = rows["clean"].min().item(), rows["clean"].max().item()
    named = [
        (name.replace(" ", "\n"), [pixels(image, value_range) for image in images])
        for name, images in rows.items()
    ]
    title = f"Gaussian noise of standard deviation {shown.level:g}"
    return draw_images(named, title=title, inch=INCH)
