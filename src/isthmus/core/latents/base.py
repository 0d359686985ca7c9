"""The contract of a latent: from the encoder's output to a code."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from isthmus.common.errors import check_int
from isthmus.core.types import Code


class Latent(nn.Module, ABC):
    """Turns [B, H] into a code z [B, D] and, where there is one, its distribution.

    Args:
        dim: D, the size of the code.
        width: H, the width of the encoder's output.
    """

    probabilistic: bool

    def __init__(self, *, dim: int, width: int) -> None:
        super().__init__()
        self.dim = check_int("dim", dim)
        self.width = width

    @abstractmethod
    def encode(self, h: Tensor) -> Code:
        """[B, H] -> the code without chance: where there is a distribution, z is its mean."""

    @abstractmethod
    def forward(self, h: Tensor, generator: torch.Generator | None = None) -> Code:
        """[B, H] -> the code. Chance, where there is any, comes from `generator`."""
