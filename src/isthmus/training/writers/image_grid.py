"""Grids of images: rows of input, noisy input and reconstruction."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from isthmus.common.atomic_files import make_subfolder, replacing

GAP = 1  # pixels between images, before magnification
SMALLEST = 56  # pixels: smaller images are magnified to at least this height


def image_grid(rows: Sequence[Tensor], *, value_range: tuple[float, float]) -> Tensor:
    """Put rows of images into one picture, one column per example.

    Args:
        rows: images in `value_range`; values outside are clipped. Shapes: [B, C, H, W], all alike.
        value_range: the values shown as black and white; infinite ends are taken from the first row.

    Returns:
        A picture in [0, 1]. Shape: [C', height, width], C' 1 or 3.
    """
    if value_range[1] - value_range[0] == float("inf"):
        value_range = rows[0].min().item(), rows[0].max().item()
    images = [to_unit(row.float().cpu(), value_range) for row in rows]
    if images[0].shape[1] not in (1, 3):
        images = [row[:, :1] for row in images]
    padded = [F.pad(row, (GAP, GAP, GAP, GAP), value=1.0) for row in images]
    grid = torch.cat([torch.cat(list(row), dim=2) for row in padded], dim=1)
    factor = max(1, -(-SMALLEST // images[0].shape[2]))
    return grid.repeat_interleave(factor, 1).repeat_interleave(factor, 2)


def to_unit(x: Tensor, value_range: tuple[float, float]) -> Tensor:
    """Values in `value_range` as values in [0, 1], clipped; infinite ends are taken from the values."""
    low, high = value_range
    if high - low == float("inf"):
        low, high = x.min().item(), x.max().item()
    return ((x - low) / max(high - low, 1e-12)).clamp(0, 1)


def save_png(picture: Tensor, path: Path) -> None:
    """Write a picture in [0, 1], [C, height, width], as PNG, atomically."""
    from PIL import Image

    pixels = (picture * 255).round().to(torch.uint8)
    array = (pixels[0] if len(pixels) == 1 else pixels.permute(1, 2, 0)).numpy()
    make_subfolder(path.parent)
    with replacing(path) as beside:
        Image.fromarray(array).save(beside, format="PNG")
