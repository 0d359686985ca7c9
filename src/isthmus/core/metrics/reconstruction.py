"""Reconstruction errors that every run logs, whatever its loss."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from isthmus.core.metrics.ssim import ssim

EPSILON = 1e-7  # keeps log() finite where a reconstruction is exactly 0 or 1


def reconstruction_errors(
    reconstruction: Tensor, x: Tensor, *, value_range: tuple[float, float], probabilities: bool
) -> dict[str, Tensor]:
    """Errors of each example, each a mean over its features. Shapes: [B, ...], [B, ...] -> [B] each.

    Args:
        reconstruction: from the model.
        x: the clean target.
        value_range: lowest and highest value of the data; infinite if unbounded.
        probabilities: whether reconstructions lie in [0, 1], so that the cross-entropy applies.

    Returns:
        mse, mae; bce in nats where it applies; for images with a finite range ssim, of the reconstruction
        clipped to it.
    """
    with torch.autocast(x.device.type, enabled=False):  # which would compute the SSIM in half precision
        return _errors(reconstruction.float(), x.float(), value_range, probabilities)


def _errors(
    reconstruction: Tensor, x: Tensor, value_range: tuple[float, float], probabilities: bool
) -> dict[str, Tensor]:
    difference = (reconstruction - x).flatten(1)
    errors = {"mse": difference.square().mean(1), "mae": difference.abs().mean(1)}
    low, high = value_range
    if probabilities and low >= 0 and high <= 1:
        p = reconstruction.clamp(EPSILON, 1 - EPSILON)
        errors["bce"] = -(x * p.log() + (1 - x) * (1 - p).log()).flatten(1).mean(1)
    if x.ndim == 4 and math.isfinite(high - low):
        clipped = reconstruction.clamp(low, high)
        errors["ssim"] = ssim(clipped, x, data_range=high - low)
    return errors


def error_names(
    shape: tuple[int, ...], *, value_range: tuple[float, float], probabilities: bool
) -> list[str]:
    """The keys of `reconstruction_errors` for examples of `shape`, in order."""
    nothing = torch.zeros(1, *shape)
    return list(reconstruction_errors(nothing, nothing, value_range=value_range, probabilities=probabilities))


def psnr(mse: Tensor, *, data_range: float) -> Tensor:
    """Peak signal-to-noise ratio in dB of a mean squared error: 10 log10(range^2 / mse)."""
    return 10 * torch.log10(data_range**2 / mse)
