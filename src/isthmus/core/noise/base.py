"""The contract of a noise: it corrupts what the encoder sees; the target stays clean.

Vincent et al., "Extracting and composing robust features with denoising autoencoders" (ICML 2008).
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn


class Noise(nn.Module, ABC):
    """x -> a corrupted copy; x itself is never written to."""

    @abstractmethod
    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Shape: [B, ...] -> [B, ...]. All chance comes from `generator` (None: torch's own)."""

    def prepare(self, value_range: tuple[float, float]) -> None:
        """Learn the range of the data; raise `BadInput` where the noise makes no sense for it."""
