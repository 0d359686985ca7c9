"""Writes arrays, tables and pictures atomically."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from isthmus.common.atomic_files import UNFINISHED, discard_empty, replacing
from isthmus.tasks.outputs.places import made
from isthmus.training.writers.image_grid import image_grid, save_png

if TYPE_CHECKING:
    import pyarrow as pa


@contextmanager
def moving_into(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder, whose files are moved to `folder` on success; if not, nothing is left."""
    absent = [each for each in (folder, *folder.parents) if not each.exists()]
    try:
        with TemporaryDirectory(prefix=".", suffix=UNFINISHED, dir=made(folder)) as beside:
            yield Path(beside)
            for file in sorted(Path(beside).iterdir()):
                os.replace(file, folder / file.name)
    finally:
        discard_empty(*absent)


def write_array(path: Path, array: np.ndarray) -> Path:
    """Write a .npy file."""
    with replacing(path) as beside, beside.open("wb") as file:
        np.save(file, array)
    return path


def write_csv(path: Path, table: pa.Table) -> Path:
    """Write a .csv file."""
    from pyarrow import csv

    with replacing(path) as beside:
        csv.write_csv(table, beside)
    return path


def write_grid(
    path: Path, images: Tensor, *, columns: int | None = None, value_range: tuple[float, float] = (0.0, 1.0)
) -> Path:
    """Write images as one picture, row by row. Shape: [N, C, H, W].

    Args:
        path: a .png file.
        images: see above.
        columns: images in a row; None for about as many as there are rows.
        value_range: the values shown as black and white.
    """
    width = columns or math.ceil(math.sqrt(len(images)))
    absent = -len(images) % width
    if absent:
        blank = torch.full((absent, *images.shape[1:]), value_range[1])
        images = torch.cat([images, blank])
    save_png(image_grid(images.split(width), value_range=value_range), path)
    return path
