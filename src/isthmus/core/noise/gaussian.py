"""Additive Gaussian noise: x + std * epsilon, epsilon ~ N(0, 1). Not clipped."""

from __future__ import annotations

import torch
from torch import Tensor

from isthmus.common.errors import check_float
from isthmus.core.noise.base import Noise


class Gaussian(Noise):
    """For data in any range.

    Args:
        std: standard deviation, in the unit of the scaled data; at least 0.
    """

    std: Tensor

    def __init__(self, *, std: float) -> None:
        super().__init__()
        self.register_buffer("std", torch.tensor(check_float("std", std, least=0.0)), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.std * torch.randn_like(x)
