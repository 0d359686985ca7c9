"""Draws images in rows and columns, with the names of both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from isthmus.training.figures.drawing import plain_text
from isthmus.training.writers.image_grid import to_unit

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LONGEST = 24  # characters of a line of a name


def draw_images(
    rows: Sequence[tuple[str, Sequence[np.ndarray]]], *, title: str, columns: Sequence[str] = (), inch: float
) -> Figure:
    """A grid of images.

    Args:
        rows: the name of each, which may have several lines, and its images. Shape: [H, W] or [H, W, 3], in
            [0, 1].
        title: above the images.
        columns: their names; empty for none.
        inch: the side of an image.
    """
    from matplotlib.figure import Figure

    across = len(rows[0][1])
    size = (inch * across + 1.6, inch * len(rows) + 0.4 + 0.2 * bool(columns))
    figure = Figure(figsize=size, dpi=120, layout="constrained")
    figure.suptitle(plain_text(title, 90), fontsize=10)
    places = figure.subplots(len(rows), across, squeeze=False)
    for (name, images), line in zip(rows, places, strict=True):
        for image, axes in zip(images, line, strict=True):
            axes.imshow(image, cmap="gray", vmin=0, vmax=1)
            axes.set(xticks=[], yticks=[])
        text = "\n".join(plain_text(part, LONGEST) for part in name.split("\n"))
        line[0].set_ylabel(text, rotation=0, ha="right", va="center", fontsize=9)
    for text, axes in zip(columns, places[0], strict=False):
        axes.set_title(plain_text(text, LONGEST), fontsize=9)
    return figure


def shown(image: Tensor, value_range: tuple[float, float]) -> np.ndarray:
    """An image for `draw_images`; of channels that are no colours, the first.

    Args:
        image: Shape: [C, H, W].
        value_range: the values shown as black and white; infinite ends are taken from the image.
    """
    pixels = to_unit(image, value_range).numpy()
    return np.moveaxis(pixels, 0, 2) if len(pixels) == 3 else pixels[0]
