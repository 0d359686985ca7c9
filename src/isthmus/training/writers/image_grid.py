"""Grids of images: rows of input, noisy input and reconstruction."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from isthmus.common.atomic_files import make_subfolder, replacing

GAP = 1  # pixels between images, before magnification
TITLE = 11  # pixels: the height of the title's letters
MOST_CHANNELS = 6  # rows of channels of one kind
SMALLEST = 56  # pixels: smaller images are magnified to at least this height or width
FLATTEST = 8  # pixels: the least height and width


def image_grid(
    rows: Sequence[Tensor], *, value_range: tuple[float, float], names: Sequence[str] = ()
) -> Tensor:
    """Put rows of images into one picture, one column per example, below a title.

    Of images that are neither grey nor RGB, with C channels, each channel is a grey row.

    Args:
        rows: images in `value_range`; values outside are clipped. Shapes: [B, C, H, W], all alike.
        value_range: the values shown as black and white; infinite ends are taken from the first row.
        names: of the rows, for the title; none: no title.

    Returns:
        A picture in [0, 1]. Shape: [C', height, width], C' 1 or 3.
    """
    if value_range[1] - value_range[0] == float("inf"):
        value_range = rows[0].min().item(), rows[0].max().item()
    images = [to_unit(row.float().cpu(), value_range) for row in rows]
    channels = images[0].shape[1]
    title = ", ".join(names)
    if channels not in (1, 3):
        shown = min(channels, MOST_CHANNELS)
        images = [row[:, channel : channel + 1] for channel in range(shown) for row in images]
        title = f"{title}; for each of the channels 1 to {shown}" + (
            f" of {channels}" if channels > shown else ""
        )
    padded = [F.pad(row, (GAP, GAP, GAP, GAP), value=1.0) for row in images]
    grid = torch.cat([torch.cat(list(row), dim=2) for row in padded], dim=1)
    height, width = images[0].shape[2:]
    factor = max(1, -(-SMALLEST // max(height, width)))
    for axis, side in ((1, height), (2, width)):  # a very flat image is stretched, to be seen at all
        grid = grid.repeat_interleave(max(factor, -(-FLATTEST // side)), axis)
    return torch.cat([_text(title, grid.shape[2]).expand(len(grid), -1, -1), grid], dim=1) if names else grid


def _text(text: str, width: int) -> Tensor:
    """Black text on white, in lines of at most `width` pixels. Shape: [1, height, width]."""
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(TITLE)
    lines, words = [""], text.split(" ")
    for word in words:
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) <= width - 2 * GAP or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    picture = Image.new("L", (width, len(lines) * (TITLE + 4)), 255)
    ImageDraw.Draw(picture).multiline_text((GAP, 0), "\n".join(lines), fill=0, font=font)
    return torch.from_numpy(np.array(picture)).float().unsqueeze(0) / 255


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
