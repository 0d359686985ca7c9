"""No noise: the encoder sees the clean example."""

from __future__ import annotations

import torch
from torch import Tensor

from isthmus.core.noise.base import Noise


class NoNoise(Noise):
    """The identity."""

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return x
