"""Gaussian filter of the residuals of images.

Where something is absent or added, the errors of neighbouring pixels have one sign; those of fine texture,
which no narrow code keeps, alternate and cancel.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

TINY = 1e-20  # a weight that changes no float32 sum; subnormal numbers would take ten times the time


class Blur(nn.Module):
    """Convolve images with a normal density, pixels beyond the border being 0.

    Args:
        shape: of an image: (C, H, W).
        sigma: standard deviation of the density, in pixels, above 0.
    """

    down: Tensor  # [H, H]
    across: Tensor  # [W, W]

    def __init__(self, shape: tuple[int, ...], sigma: float) -> None:
        super().__init__()
        self.shape = shape
        # as products: separable, and no padding; small next to a pass through the network
        self.register_buffer("down", _band(shape[1], sigma), persistent=False)
        self.register_buffer("across", _band(shape[2], sigma), persistent=False)

    def forward(self, residuals: Tensor) -> Tensor:
        """Shapes: [B, C * H * W] -> [B, C * H * W]."""
        images = residuals.reshape(-1, *self.shape[1:])
        # down @ images would copy the images to multiply them with one matrix
        blurred = torch.bmm(self.down.expand(images.shape[0], -1, -1), images) @ self.across
        return blurred.reshape(residuals.shape)


def _band(side: int, sigma: float) -> Tensor:
    """The convolution as a symmetric matrix. Shape: [side, side]."""
    places = torch.arange(side, dtype=torch.float64)
    far = math.ceil(10 * sigma)
    reach = torch.arange(-far, far + 1, dtype=torch.float64)
    weights = (-0.5 * ((places[:, None] - places) / sigma).square()).exp()
    band = weights / (-0.5 * (reach / sigma).square()).exp().sum()
    return torch.where(band < TINY, 0.0, band).float()
