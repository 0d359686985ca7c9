"""Linear autoencoder: one matrix in, one matrix out.

With the squared error it spans the subspace of principal component analysis (Baldi and Hornik,
"Neural networks and principal component analysis", 1989).
"""

from __future__ import annotations

from torch import nn

from isthmus.core.architectures.base import Architecture, Unflatten, features
from isthmus.core.types import EncoderDecoder


class Linear(Architecture):
    """Flattens; the latent's own linear map is the encoder. For data of any shape."""

    def build(self, shape: tuple[int, ...], latent_dim: int) -> EncoderDecoder:
        width = features(shape)
        decoder = nn.Sequential(nn.Linear(latent_dim, width), Unflatten(shape))
        return EncoderDecoder(nn.Flatten(), width, decoder)
