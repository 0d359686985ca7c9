"""Masking noise: each feature is set to 0 with probability p (Vincent et al. 2008)."""

from __future__ import annotations

import torch
from torch import Tensor

from isthmus.common.errors import check_float
from isthmus.core.noise.base import Noise


class Masking(Noise):
    """For data in any range.

    Args:
        p: probability that a feature is masked, in [0, 1].
    """

    p: Tensor

    def __init__(self, *, p: float) -> None:
        super().__init__()
        self.register_buffer("p", torch.tensor(check_float("p", p, least=0.0, most=1.0)), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return x * (torch.rand_like(x) >= self.p)
