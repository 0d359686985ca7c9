"""Paths through the space of codes: interpolations and traversals."""

from __future__ import annotations

import torch
from torch import Tensor

STRAIGHT = 1e-3  # sine of an angle below which no great circle is defined


def linear(start: Tensor, end: Tensor, steps: int) -> Tensor:
    """Straight lines. Shapes: [N, D], [N, D] -> [N, steps, D]."""
    share = torch.linspace(0, 1, steps, dtype=start.dtype, device=start.device)[:, None]
    return start[:, None] * (1 - share) + end[:, None] * share


def spherical(start: Tensor, end: Tensor, steps: int) -> Tensor:
    """Great-circle paths, whose norms change evenly: codes of a normal prior lie near a sphere.

    White, "Sampling generative networks" (arXiv:1609.04468). Where both codes have the same direction, or one
    is 0, the path is straight. Shapes: [N, D], [N, D] -> [N, steps, D].
    """
    share = torch.linspace(0, 1, steps, dtype=start.dtype, device=start.device)[:, None]
    norms = start.norm(dim=1), end.norm(dim=1)
    cosine = (start * end).sum(1) / (norms[0] * norms[1]).clamp(min=1e-12)
    angle = cosine.clamp(-1, 1).arccos()[:, None, None]  # [N, 1, 1]
    sine = angle.sin()
    curved = (start[:, None] * ((1 - share) * angle).sin() + end[:, None] * (share * angle).sin()) / sine
    return torch.where(sine.abs() < STRAIGHT, linear(start, end, steps), curved)


def traversals(centre: Tensor, dims: list[int], low: Tensor, high: Tensor, steps: int) -> Tensor:
    """One code with one coordinate at a time moved from low to high.

    Args:
        centre: the code. Shape: [D].
        dims: the coordinates that are moved; T of them.
        low: where each coordinate begins. Shape: [D].
        high: where it ends. Shape: [D].
        steps: number of codes for each.

    Returns:
        Shape: [T, steps, D].
    """
    codes = centre.expand(len(dims), steps, -1).clone()
    for row, dim in enumerate(dims):
        codes[row, :, dim] = torch.linspace(float(low[dim]), float(high[dim]), steps)
    return codes
