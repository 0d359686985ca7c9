"""Estimates the noise in images from their finest details.

The median of the absolute values of the diagonal coefficients of Haar's wavelet, divided by that of a normal
variable. Donoho and Johnstone 1994, "Ideal spatial adaptation by wavelet shrinkage" (Biometrika 81), section
4.2.
"""

from __future__ import annotations

from torch import Tensor

NORMAL = 0.6745  # median of the absolute value of a normal variable
FEWEST = 12  # coefficients of an image


def noise_level(x: Tensor) -> float | None:
    """The standard deviation of Gaussian noise, the median over images; None for images that are too small.

    Noise that was clipped to the range of pixels is underestimated, at most by half. Texture of single pixels
    counts as noise. Shape: [B, C, H, W].
    """
    height, width = (side // 2 * 2 for side in x.shape[2:])
    x = x[:, :, :height, :width]
    rows = x[:, :, ::2] - x[:, :, 1::2]
    details = (rows[..., ::2] - rows[..., 1::2]).flatten(1) / 2
    if not len(x) or details.shape[1] < FEWEST:
        return None
    return float((details.abs().median(dim=1).values / NORMAL).median())
