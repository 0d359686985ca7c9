"""What the scores of an example are computed from: one pass through the autoencoder."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from isthmus.core.autoencoder import Autoencoder
from isthmus.core.detection.residuals import squared_length


class Observed(NamedTuple):
    """Clean examples through an autoencoder.

    Attributes:
        codes: Shape: [B, D], float32; of a model in float64, all are float64.
        residuals: x minus its reconstruction. Shape: [B, F], float32.
        losses: of the reconstructions; None if they are not needed. Shape: [B], float32.
    """

    codes: Tensor
    residuals: Tensor
    losses: Tensor | None

    @property
    def mse(self) -> Tensor:
        """The mean squared error of each example. Shape: [B]."""
        return squared_length(self.residuals) / self.residuals.shape[1]

    @classmethod
    def of(cls, autoencoder: Autoencoder, x: Tensor, z: Tensor, raw: Tensor, *, losses: bool) -> Observed:
        """Examples, their codes [B, D] and the raw outputs of the decoder [B, ...]."""
        residuals = (x - autoencoder.loss.reconstruction(raw)).flatten(1)
        loss = _single(autoencoder.loss(raw, x)) if losses else None
        return cls(_single(z), _single(residuals), loss)


def observe(autoencoder: Autoencoder, x: Tensor, *, losses: bool = False) -> Observed:
    """Pass a batch through the autoencoder. Shape: [B, ...]."""
    z = autoencoder.encode(x).z
    return Observed.of(autoencoder, x, z, autoencoder.decoder(z), losses=losses)


def _single(x: Tensor) -> Tensor:
    """In float32, or float64 as it is."""
    return x if x.dtype is torch.float64 else x.float()
