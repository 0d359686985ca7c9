"""Interface of a latent: maps the encoder's output to a code."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn

from isthmus.common.errors import check_int
from isthmus.core.types import Code


class Latent(nn.Module, ABC):
    """Maps [B, H] to a code z [B, D] and, if it is probabilistic, the distribution of z.

    Attributes:
        probabilistic: whether codes have a distribution, and so a prior: N(0, I).

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
        """[B, H] -> the deterministic code: of a distribution, its mean."""

    @abstractmethod
    def forward(self, h: Tensor) -> Code:
        """[B, H] -> the code: of a distribution, a sample."""
