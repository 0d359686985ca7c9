"""Affine map from stored values to model inputs: x = (stored - shift) * scale."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn


class Scaling(nn.Module):
    """Maps stored values to model values, on any device, and back.

    Checkpoints contain its buffers with the weights, so a model never sees data scaled with other statistics
    than in training.

    Args:
        scale: the factor. Shape: [] or that of one example.
        shift: subtracted first; None for none. Same shape.
    """

    scale: Tensor
    shift: Tensor | None

    def __init__(self, scale: Tensor, shift: Tensor | None = None) -> None:
        super().__init__()
        self.register_buffer("scale", scale.float())
        self.register_buffer("shift", None if shift is None else shift.float())

    @classmethod
    def unit(cls, unit: float = 1.0) -> Scaling:
        """Only multiply by `unit`: 1/255 for pixels stored as bytes."""
        return cls(torch.tensor(unit))

    @classmethod
    def standardize(cls, chunks: Iterable[Tensor]) -> Scaling:
        """Mean 0 and variance 1 for every feature, from one pass over chunks of the stored values.

        Mean and population variance are merged as in Chan, Golub and LeVeque 1979. Constant features keep
        scale 1, and so do those whose 1 / std overflows float32.

        Args:
            chunks: stored values. Shape of each: [*, ...].
        """
        count, mean, variance = 0, torch.zeros(()), torch.zeros(())
        for chunk in chunks:
            count += len(chunk)
            weight = len(chunk) / count
            own_variance, own_mean = torch.var_mean(chunk.double(), dim=0, correction=0)
            shift = own_mean - mean
            mean = mean + weight * shift
            variance = variance + weight * (own_variance - variance + (1 - weight) * shift.square())
        std = variance.sqrt()
        return cls(torch.where(std < torch.finfo(torch.float32).tiny, 1.0, 1 / std), mean)

    def forward(self, stored: Tensor) -> Tensor:
        # buffers are cast with the model, and the data to the dtype of the buffers
        x = stored.to(self.scale.dtype)
        return x * self.scale if self.shift is None else (x - self.shift) * self.scale

    def invert(self, x: Tensor) -> Tensor:
        """Model values back to stored values, in float32."""
        return x / self.scale if self.shift is None else x / self.scale + self.shift
