"""What the page shows of an example: its image, or the cells of its row."""

from __future__ import annotations

import base64
import io
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from isthmus.tasks.trained_model import TrainedModel
from isthmus.training.writers.image_grid import to_unit

LARGEST = 64  # pixels: the longer side of an image
MOST_COLUMNS = 12
LONGEST = 60  # characters of a cell


class Shown(NamedTuple):
    """What is shown of examples.

    Attributes:
        images: PNG files in base64; None for other data.
        columns: the names of the columns shown.
        cells: the columns of each row as text.
    """

    images: list[str] | None
    columns: list[str]
    cells: list[list[str]]

    @property
    def size(self) -> int:
        """Characters."""
        return sum(map(len, self.images or ())) + sum(len(cell) + 3 for row in self.cells for cell in row)

    def some(self, rows: np.ndarray) -> Shown:
        """Some of the rows."""
        images = None if self.images is None else [self.images[row] for row in rows]
        return Shown(images, self.columns, [self.cells[row] for row in rows] if self.cells else [])


def show(model: TrainedModel, x: Tensor) -> Shown:
    """What is shown of examples.

    Args:
        model: that they are for.
        x: values of the model. Shape: [N, ...].
    """
    given = model.given_back(x)
    if len(model.shape) == 3:
        images = torch.from_numpy(np.ascontiguousarray(given))
        # of several channels that are no colours, the first
        images = images if images.shape[1] in (1, 3) else images[:, :1]
        return Shown([_png(image) for image in to_unit(images, model.displayed_range)], [], [])
    if model.columns is None:
        names, columns = model.feature_names()[:MOST_COLUMNS], given.T[:MOST_COLUMNS].tolist()
    else:
        names = given.column_names[:MOST_COLUMNS]
        columns = [given.column(name).to_pylist() for name in names]
    return Shown(None, names, [[_cell(cell) for cell in row] for row in zip(*columns, strict=True)])


def _png(image: Tensor) -> str:
    """An image in [0, 1]. Shape: [C, H, W]."""
    from PIL import Image

    pixels = (image * 255).round().to(torch.uint8)
    array = pixels[0].numpy() if len(pixels) == 1 else pixels.permute(1, 2, 0).numpy()
    picture, file = Image.fromarray(array), io.BytesIO()
    picture.thumbnail((LARGEST, LARGEST))
    picture.save(file, format="PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode("ascii")


def _cell(value: Any) -> str:
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."
