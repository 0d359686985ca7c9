"""Residual convolutional autoencoder: x + f(x) in each block (He et al. 2016, arXiv:1603.05027).

Blocks use pre-activation: normalise, activate, convolve, twice. Between stages the encoder halves the image
with a stride-2 convolution. The decoder reverses this with nearest-neighbour upsampling and a convolution,
which avoids checkerboard patterns (Odena et al. 2016).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from isthmus.common.errors import check_int, one_of
from isthmus.core.architectures.base import Architecture, features, image_shape
from isthmus.core.architectures.conv import halved
from isthmus.core.architectures.layers import (
    ACTIVATIONS,
    NORMALIZATIONS_2D,
    activation,
    normalization_2d,
    widths,
)
from isthmus.core.types import EncoderDecoder


class ResidualBlock(nn.Module):
    """x + f(x), [B, C, H, W] -> [B, C, H, W]."""

    def __init__(self, channels: int, *, activation_name: str, normalization: str) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for _ in range(2):
            layers += [
                *normalization_2d(normalization, channels),
                activation(activation_name),
                nn.Conv2d(channels, channels, 3, padding=1),
            ]
        self.residual = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.residual(x)


class ResNet(Architecture):
    """Stages of residual blocks. For images of any height, width and number of channels.

    Args:
        channels: channels of each stage; each stage halves height and width (rounded up).
        blocks: residual blocks in each stage.
        activation: a key of `layers.ACTIVATIONS`.
        normalization: none, batch or group.
    """

    def __init__(self, *, channels: Sequence[int], blocks: int, activation: str, normalization: str) -> None:
        self.channels = widths("channels", channels)
        self.blocks = check_int("blocks", blocks, most=1000)
        self.activation = one_of("activation", activation, tuple(ACTIVATIONS))
        self.normalization = one_of("normalization", normalization, NORMALIZATIONS_2D)

    def build(self, shape: tuple[int, ...], latent_dim: int) -> EncoderDecoder:
        colours, height, width = image_shape(shape, "resnet")
        stages = len(self.channels)
        heights, breadths = halved(height, stages), halved(width, stages)
        inner = (self.channels[-1], heights[-1], breadths[-1])

        encoder: list[nn.Module] = []
        for before, after in pairwise([colours, *self.channels]):
            encoder += [nn.Conv2d(before, after, 3, stride=2, padding=1), *self._stage(after)]
        encoder += [*self._finish(inner[0]), nn.Flatten()]

        decoder: list[nn.Module] = [nn.Linear(latent_dim, features(inner)), nn.Unflatten(1, inner)]
        outward = [*reversed(self.channels), self.channels[0]]
        for stage, (before, after) in enumerate(pairwise(outward)):
            size = (heights[-2 - stage], breadths[-2 - stage])
            decoder += [
                *self._stage(before),
                nn.Upsample(size=size, mode="nearest"),
                nn.Conv2d(before, after, 3, padding=1),
            ]
        decoder += [*self._finish(self.channels[0]), nn.Conv2d(self.channels[0], colours, 3, padding=1)]
        return EncoderDecoder(nn.Sequential(*encoder), features(inner), nn.Sequential(*decoder))

    def _stage(self, channels: int) -> list[nn.Module]:
        return [
            ResidualBlock(channels, activation_name=self.activation, normalization=self.normalization)
            for _ in range(self.blocks)
        ]

    def _finish(self, channels: int) -> list[nn.Module]:
        return [*normalization_2d(self.normalization, channels), activation(self.activation)]
