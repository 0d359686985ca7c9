"""The affine map from stored values to the values a model sees: x = (stored - shift) * scale."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Scaling(nn.Module):
    """Turns stored values into model values, on whatever device they are, and back.

    Its numbers are buffers, so they are saved in the checkpoint with the weights: a model never
    meets data scaled by other statistics than those it was trained with.

    Args:
        scale: multiplied. Shape: [] or that of one example.
        shift: subtracted first; None for no shift. Same shape.
    """

    scale: Tensor
    shift: Tensor | None

    def __init__(self, scale: Tensor, shift: Tensor | None = None) -> None:
        super().__init__()
        self.register_buffer("scale", scale.float())
        self.register_buffer("shift", None if shift is None else shift.float())

    @classmethod
    def unit(cls, unit: float = 1.0) -> Scaling:
        """Multiply by `unit` alone: 1/255 for pixels stored as bytes."""
        return cls(torch.tensor(unit))

    def forward(self, stored: Tensor) -> Tensor:
        # the buffers follow the model's precision, and the data follow the buffers
        x = stored.to(self.scale.dtype)
        return x * self.scale if self.shift is None else (x - self.shift) * self.scale

    def invert(self, x: Tensor) -> Tensor:
        """Model values back to stored values, in float32."""
        return x / self.scale if self.shift is None else x / self.scale + self.shift
