"""Multilayer perceptron: fully connected layers, mirrored in the decoder."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import nn

from isthmus.common.errors import check_float, one_of
from isthmus.core.architectures.base import Architecture, features
from isthmus.core.architectures.layers import (
    ACTIVATIONS,
    NORMALIZATIONS_1D,
    activation,
    normalization_1d,
    widths,
)
from isthmus.core.types import EncoderDecoder


class MLP(Architecture):
    """Encoder F -> hidden -> H, decoder D -> reversed hidden -> F. For data of any shape.

    Args:
        hidden: widths of the encoder's hidden layers, outermost first; the decoder mirrors them.
        activation: after each hidden layer; a key of `layers.ACTIVATIONS`.
        normalization: before each activation: none, batch or layer.
        dropout: probability of dropping a hidden unit, in [0, 1).
    """

    def __init__(self, *, hidden: Sequence[int], activation: str, normalization: str, dropout: float) -> None:
        self.hidden = widths("hidden", hidden, otherwise="; without any, use architecture=linear")
        self.activation = one_of("activation", activation, tuple(ACTIVATIONS))
        self.normalization = one_of("normalization", normalization, NORMALIZATIONS_1D)
        self.dropout = check_float("dropout", dropout, least=0.0, below=1.0)

    def build(self, shape: tuple[int, ...], latent_dim: int) -> EncoderDecoder:
        width = features(shape)
        encoder = nn.Sequential(nn.Flatten(), *self._layers([width, *self.hidden]))
        decoder = nn.Sequential(
            *self._layers([latent_dim, *reversed(self.hidden)]),
            nn.Linear(self.hidden[0], width),
            nn.Unflatten(1, shape),
        )
        return EncoderDecoder(encoder, self.hidden[-1], decoder)

    def _layers(self, sizes: list[int]) -> list[nn.Module]:
        layers: list[nn.Module] = []
        for before, after in pairwise(sizes):
            layers += [
                nn.Linear(before, after),
                *normalization_1d(self.normalization, after),
                activation(self.activation),
                *([nn.Dropout(self.dropout)] if self.dropout else []),
            ]
        return layers
