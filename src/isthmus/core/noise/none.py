"""No noise: the encoder sees the clean example."""

from __future__ import annotations

from torch import Tensor

from isthmus.core.noise.base import Noise


class NoNoise(Noise):
    """The identity."""

    def forward(self, x: Tensor) -> Tensor:
        return x
