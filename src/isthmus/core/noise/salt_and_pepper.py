"""Salt and pepper: each feature becomes the lowest or the highest value, each with probability p / 2."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from isthmus.common.errors import BadInput, check_float
from isthmus.core.noise.base import Noise


class SaltAndPepper(Noise):
    """For bounded data, whose lowest and highest values are pepper and salt; [0, 1] before `prepare`.

    Args:
        p: probability that a feature is replaced, in [0, 1].
    """

    p: Tensor

    def __init__(self, *, p: float) -> None:
        super().__init__()
        self.register_buffer("p", torch.tensor(check_float("p", p, least=0.0, most=1.0)), persistent=False)
        self.low, self.high = 0.0, 1.0

    def forward(self, x: Tensor) -> Tensor:
        uniform = torch.rand_like(x)
        peppered = torch.where(uniform < self.p / 2, self.low, x)
        return torch.where(uniform >= 1 - self.p / 2, self.high, peppered)

    def prepare(self, value_range: tuple[float, float]) -> None:
        low, high = value_range
        if not (math.isfinite(low) and math.isfinite(high)):
            raise BadInput(
                "",
                "salt_and_pepper",
                "needs data with a lowest and a highest value, which "
                "standardised data do not have; use noise=gaussian or noise=masking",
            )
        self.low, self.high = low, high
