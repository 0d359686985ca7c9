"""Linear autoencoder: encoder and decoder are one linear layer each.

With the squared error it spans the subspace of principal component analysis (Baldi and Hornik,
"Neural networks and principal component analysis", 1989).
"""

from __future__ import annotations

from torch import nn

from isthmus.core.architectures.base import Architecture, features
from isthmus.core.types import EncoderDecoder


class Linear(Architecture):
    """The encoder only flattens, since the latent has a linear layer. For data of any shape."""

    def build(self, shape: tuple[int, ...], latent_dim: int) -> EncoderDecoder:
        width = features(shape)
        decoder = nn.Sequential(nn.Linear(latent_dim, width), nn.Unflatten(1, shape))
        return EncoderDecoder(nn.Flatten(), width, decoder)
