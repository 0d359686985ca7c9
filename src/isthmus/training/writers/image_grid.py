"""Grids of images: rows of input, noisy input and reconstruction."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from isthmus.common.atomic_files import make_subfolder, replacing

GAP = 1  # pixels between images, before magnification
LETTERS = 13  # pixels: the height of the letters
LINE = LETTERS + 4  # pixels: from line to line
MOST_CHANNELS = 6  # rows of channels of one kind
SMALLEST = 56  # pixels: smaller images are magnified to at least this height or width
FLATTEST = 8  # pixels: the least height and width


def image_grid(
    rows: Sequence[Tensor],
    *,
    value_range: tuple[float, float],
    title: str = "",
    names: Sequence[str] = (),
) -> Tensor:
    """Put rows of images into one picture, one column per example.

    Of images that are neither grey nor RGB, with C channels, each channel is a grey row.

    Args:
        rows: images in `value_range`; values outside are clipped. Shapes: [B, C, H, W], all alike.
        value_range: the values shown as black and white; infinite ends are taken from the first row.
        title: above the rows; empty for none.
        names: of the rows, to their left; empty for none.

    Returns:
        A picture in [0, 1]. Shape: [C', height, width], C' 1 or 3.
    """
    if value_range[1] - value_range[0] == float("inf"):
        value_range = rows[0].min().item(), rows[0].max().item()
    images = [to_unit(row.float().cpu(), value_range) for row in rows]
    channels = images[0].shape[1]
    labels = list(names)
    if channels not in (1, 3):
        shown = min(channels, MOST_CHANNELS)
        images = [row[:, channel : channel + 1] for channel in range(shown) for row in images]
        labels = [f"{name} {channel}" for channel in range(1, shown + 1) for name in names]
        title += title and f"; channels 1 to {shown} of {channels}"
    padded = [F.pad(row, (GAP, GAP, GAP, GAP), value=1.0) for row in images]
    grid = torch.cat([torch.cat(list(row), dim=2) for row in padded], dim=1)
    height, width = images[0].shape[2:]
    factor = max(1, -(-SMALLEST // max(height, width)))
    lowest = LINE if labels else FLATTEST
    for axis, side, least in ((1, height, lowest), (2, width, FLATTEST)):
        # a very flat image is stretched, to be seen at all
        grid = grid.repeat_interleave(max(factor, -(-least // side)), axis)
    if labels:
        grid = torch.cat([_labels(labels, grid.shape[1]).expand(len(grid), -1, -1), grid], dim=2)
    return torch.cat([_text(title, grid.shape[2]).expand(len(grid), -1, -1), grid], dim=1) if title else grid


def _labels(names: Sequence[str], height: int) -> Tensor:
    """The name of each row at its middle, black on white. Shape: [1, height, width]."""
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(LETTERS)
    width = max(math.ceil(font.getlength(name)) for name in names) + 3 * GAP
    picture, row = Image.new("L", (width, height), 255), height / len(names)
    draw = ImageDraw.Draw(picture)
    for number, name in enumerate(names):
        draw.text((GAP, (number + 0.5) * row), name, fill=0, font=font, anchor="lm")
    return torch.from_numpy(np.array(picture)).float().unsqueeze(0) / 255


def _text(text: str, width: int) -> Tensor:
    """Black text on white, in lines of at most `width` pixels. Shape: [1, height, width]."""
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(LETTERS)
    lines, words = [""], text.split(" ")
    for word in words:
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) <= width - 2 * GAP or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    picture = Image.new("L", (width, len(lines) * LINE), 255)
    ImageDraw.Draw(picture).multiline_text((GAP, 0), "\n".join(lines), fill=0, font=font)
    return torch.from_numpy(np.array(picture)).float().unsqueeze(0) / 255


def to_unit(x: Tensor, value_range: tuple[float, float]) -> Tensor:
    """Values in `value_range` as values in [0, 1], clipped; infinite ends are taken from the values."""
    low, high = value_range
    if high - low == float("inf"):
        low, high = x.min().item(), x.max().item()
    return ((x - low) / max(high - low, 1e-12)).clamp(0, 1)


def save_png(picture: Tensor, path: Path) -> None:
    """Write a picture in [0, 1], or of bytes, as PNG, atomically. Shape: [C, height, width]."""
    from PIL import Image

    pixels = picture if picture.dtype == torch.uint8 else (picture * 255).round().to(torch.uint8)
    array = (pixels[0] if len(pixels) == 1 else pixels.permute(1, 2, 0)).numpy()
    make_subfolder(path.parent)
    with replacing(path) as beside:
        Image.fromarray(array).save(beside, format="PNG")
