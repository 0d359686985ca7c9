"""Convolutional autoencoder: each stage halves the image, and the decoder mirrors it exactly.

A stride-2 convolution maps n pixels to ceil(n / 2). The transposed convolution needs an output padding of 1
for even n and 0 for odd n, which restores any height and width.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import nn

from isthmus.common.errors import one_of
from isthmus.core.architectures.base import Architecture, features, image_shape
from isthmus.core.architectures.layers import (
    ACTIVATIONS,
    NORMALIZATIONS_2D,
    activation,
    normalization_2d,
    widths,
)
from isthmus.core.types import EncoderDecoder


def halved(size: int, stages: int) -> list[int]:
    """`size` and the sizes after each of `stages` halvings, rounded up."""
    sizes = [size]
    for _ in range(stages):
        sizes.append((sizes[-1] + 1) // 2)
    return sizes


class Conv(Architecture):
    """Stages of stride-2 convolutions. For images of any height, width and number of channels.

    Args:
        channels: channels after each stage; each stage halves height and width (rounded up).
        activation: after each stage but the last; a key of `layers.ACTIVATIONS`.
        normalization: before each activation: none, batch or group.
    """

    def __init__(self, *, channels: Sequence[int], activation: str, normalization: str) -> None:
        self.channels = widths("channels", channels)
        self.activation = one_of("activation", activation, tuple(ACTIVATIONS))
        self.normalization = one_of("normalization", normalization, NORMALIZATIONS_2D)

    def build(self, shape: tuple[int, ...], latent_dim: int) -> EncoderDecoder:
        colours, height, width = image_shape(shape, "conv")
        stages = len(self.channels)
        heights, breadths = halved(height, stages), halved(width, stages)
        channels = [colours, *self.channels]
        inner = (channels[-1], heights[-1], breadths[-1])

        encoder: list[nn.Module] = []
        for before, after in pairwise(channels):
            encoder += [nn.Conv2d(before, after, 3, stride=2, padding=1), *self._finish(after)]

        decoder: list[nn.Module] = [
            nn.Linear(latent_dim, features(inner)),
            activation(self.activation),
            nn.Unflatten(1, inner),
        ]
        for stage in reversed(range(stages)):
            padding = (1 - heights[stage] % 2, 1 - breadths[stage] % 2)
            decoder.append(
                nn.ConvTranspose2d(
                    channels[stage + 1], channels[stage], 3, stride=2, padding=1, output_padding=padding
                )
            )
            if stage:
                decoder += self._finish(channels[stage])
        return EncoderDecoder(nn.Sequential(*encoder, nn.Flatten()), features(inner), nn.Sequential(*decoder))

    def _finish(self, channels: int) -> list[nn.Module]:
        return [*normalization_2d(self.normalization, channels), activation(self.activation)]
