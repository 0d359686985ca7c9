"""Interface of an architecture: builds encoder and decoder for a shape of data."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

from isthmus.common.errors import BadInput
from isthmus.core.types import EncoderDecoder


class Architecture(ABC):
    """Builds an encoder [B, ...] -> [B, H] and a decoder [B, D] -> [B, ...].

    The last linear layer before the code belongs to the latent, which may need D outputs or 2 D.
    """

    @abstractmethod
    def build(self, shape: tuple[int, ...], latent_dim: int) -> EncoderDecoder:
        """Build for examples of `shape` and codes of `latent_dim`.

        Raises:
            BadInput: this architecture cannot be used with such data.
        """


def features(shape: tuple[int, ...]) -> int:
    """Number of features of an example of `shape`."""
    return math.prod(shape)


def image_shape(shape: tuple[int, ...], architecture: str) -> tuple[int, int, int]:
    """`shape` as (C, H, W); raises `BadInput` if the data are not images."""
    if len(shape) != 3:
        raise BadInput(
            "",
            architecture,
            f"needs images [C, H, W], but the data have shape {list(shape)}; use architecture=mlp",
        )
    return shape
