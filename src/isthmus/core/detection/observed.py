"""What the scores of an example are computed from: one pass through the autoencoder."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from isthmus.core.autoencoder import Autoencoder


class Observed(NamedTuple):
    """Clean examples through an autoencoder.

    Attributes:
        codes: Shape: [B, D], float32; of a model in float64, all are float64.
        residuals: x minus its reconstruction. Shape: [B, F], float32.
        losses: of the reconstructions. Shape: [B], float32.
    """

    codes: Tensor
    residuals: Tensor
    losses: Tensor

    @property
    def mse(self) -> Tensor:
        """The mean squared error of each example. Shape: [B]."""
        return self.residuals.square().mean(1)

    @classmethod
    def of(cls, autoencoder: Autoencoder, x: Tensor, z: Tensor, raw: Tensor) -> Observed:
        """Examples, their codes [B, D] and the raw outputs of the decoder [B, ...]."""
        residuals = (x - autoencoder.loss.reconstruction(raw)).flatten(1)
        found = (z, residuals, autoencoder.loss(raw, x))
        return cls(*(each if each.dtype is torch.float64 else each.float() for each in found))

    def rows(self, chosen: slice) -> Observed:
        """Some of the rows."""
        return Observed(*(each[chosen] for each in self))


def observe(autoencoder: Autoencoder, x: Tensor) -> Observed:
    """Pass a batch through the autoencoder. Shape: [B, ...]."""
    z = autoencoder.encode(x).z
    return Observed.of(autoencoder, x, z, autoencoder.decoder(z))
