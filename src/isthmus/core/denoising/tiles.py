"""Applies a function of small images to images of any size: in overlapping tiles that are blended.

The tiles of an axis begin every `size - overlap` pixels, and the image is reflected beyond its edges, so that
pixels there are not at the edge of all of their tiles. Each tile has a Hann window's weight, which is largest
in its middle, and the weighted mean is taken: f = id gives the image back.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor


def tile_starts(length: int, size: int, overlap: int) -> list[int]:
    """Where the tiles of an axis begin; negative in the reflection before the first pixel.

    Args:
        length: pixels of the image.
        size: pixels of a tile.
        overlap: pixels that neighbouring tiles share, below `size`.
    """
    return [0] if length == size else list(range(-overlap, length, size - overlap))


def reflected(start: int, size: int, length: int) -> Tensor:
    """The pixels at `start` to `start + size` of an axis that is reflected at both ends. Shape: [size]."""
    period = max(1, 2 * (length - 1))
    where = torch.arange(start, start + size).remainder(period)
    return torch.where(where < length, where, period - where)


def window(size: int) -> Tensor:
    """Hann window, whose zeros lie half a pixel outside: sin^2(pi (i + 1/2) / size). Shape: [size]."""
    return torch.sin(math.pi * (torch.arange(size, dtype=torch.float64) + 0.5) / size).square()


def in_tiles(
    function: Callable[[Tensor], Tensor],
    x: Tensor,
    size: tuple[int, int],
    *,
    overlap: float = 0.5,
    batch: int = 256,
) -> Tensor:
    """Apply a function of images of one size to images of another. Shapes: [B, C, H, W] -> the same.

    Args:
        function: maps tiles to tiles. Shapes: [T, C, h, w] -> the same.
        x: images of any height and width, also below those of a tile.
        size: h and w. An axis of the image that has this length is not cut.
        overlap: part of the height and the width of a tile that its neighbours share, in [0, 1).
        batch: tiles of a call of `function`, at most.
    """
    total, weight = torch.zeros_like(x, dtype=torch.float32), torch.zeros(x.shape[2:], device=x.device)
    shared = [int(overlap * side) for side in size]
    tops, lefts = (tile_starts(*axis) for axis in zip(x.shape[2:], size, shared, strict=True))
    mask = torch.outer(window(size[0]), window(size[1])).to(x.device, torch.float32)
    places = [(top, left) for top in tops for left in lefts]
    step = max(1, batch // len(x))
    for first in range(0, len(places), step):
        part = places[first : first + step]
        cut = torch.cat([_cut(x, place, size) for place in part])
        made = function(cut).float().split(len(x))
        for place, tile in zip(part, made, strict=True):
            inner, own = _overlap(place, size, x.shape[2:])
            total[:, :, *inner] += (tile * mask)[:, :, *own]
            weight[inner] += mask[own]
    return total / weight


def _cut(x: Tensor, place: tuple[int, int], size: tuple[int, int]) -> Tensor:
    """A tile of each image. Shapes: [B, C, H, W] -> [B, C, h, w]."""
    rows, columns = (
        reflected(start, side, length).to(x.device)
        for start, side, length in zip(place, size, x.shape[2:], strict=True)
    )
    return x[:, :, rows][:, :, :, columns]


def _overlap(
    place: tuple[int, int], size: tuple[int, int], image: tuple[int, ...]
) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """The pixels of a tile that are in the image: where in the image, and where in the tile."""
    ends = [
        (start, max(0, start), min(start + side, length))
        for start, side, length in zip(place, size, image, strict=True)
    ]
    return (
        tuple(slice(first, last) for _, first, last in ends),
        tuple(slice(first - start, last - start) for start, first, last in ends),
    )
