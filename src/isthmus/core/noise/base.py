"""Interface of a noise: it corrupts the encoder's input, and the target stays clean.

Vincent et al., "Extracting and composing robust features with denoising autoencoders" (ICML 2008).
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn


class Noise(nn.Module, ABC):
    """Returns a corrupted copy of x; never changes x in place. Draws from torch's default generator only."""

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """Shape: [B, ...] -> [B, ...]."""

    def prepare(self, value_range: tuple[float, float]) -> None:
        """Set the range of the data; raise `BadInput` if the noise cannot be used with it."""
