"""Affine map from stored values to model inputs: x = (stored - shift) * scale."""

from __future__ import annotations

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

    def forward(self, stored: Tensor) -> Tensor:
        # buffers are cast with the model, and the data to the dtype of the buffers
        x = stored.to(self.scale.dtype)
        if x is stored:
            return x * self.scale if self.shift is None else (x - self.shift).mul_(self.scale)
        return x.mul_(self.scale) if self.shift is None else x.sub_(self.shift).mul_(self.scale)

    def invert(self, x: Tensor) -> Tensor:
        """Model values back to stored values, in float32."""
        return x / self.scale if self.shift is None else x / self.scale + self.shift
