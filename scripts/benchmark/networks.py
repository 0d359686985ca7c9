"""The networks of the training cases and what they minimise, written out as one would by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def mlp(pixels: int, hidden: int, code: int, *, sigmoid: bool) -> nn.Sequential:
    """pixels-hidden-code-hidden-pixels with ReLU. Shapes: [B, pixels] -> [B, pixels]."""
    return nn.Sequential(
        *(nn.Linear(pixels, hidden), nn.ReLU(), nn.Linear(hidden, code)),
        *(nn.Linear(code, hidden), nn.ReLU(), nn.Linear(hidden, pixels)),
        *([nn.Sigmoid()] if sigmoid else []),
    )


class ConvVAE(nn.Module):
    """Variational autoencoder of strided convolutions for images [B, 1, 28, 28]; its outputs are logits.

    Args:
        code: size of the latent.
    """

    def __init__(self, code: int) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            *(nn.Conv2d(1, 32, 3, stride=2, padding=1), nn.ReLU()),
            *(nn.Conv2d(32, 64, 3, stride=2, padding=1), nn.ReLU()),
            *(nn.Flatten(), nn.Linear(64 * 7 * 7, 2 * code)),
        )
        self.decoder = nn.Sequential(
            *(nn.Linear(code, 64 * 7 * 7), nn.ReLU(), nn.Unflatten(1, (64, 7, 7))),
            *(nn.ConvTranspose2d(64, 32, 3, stride=2, padding=1, output_padding=1), nn.ReLU()),
            nn.ConvTranspose2d(32, 1, 3, stride=2, padding=1, output_padding=1),
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logits of a sample, and mean and log-variance of its code."""
        mean, log_var = self.encoder(x).chunk(2, dim=1)
        z = mean + torch.exp(0.5 * log_var) * torch.randn_like(mean)
        return self.decoder(z), mean, log_var


Objective = Callable[[Any, Tensor], Tensor]


def mean_square(model: nn.Module, x: Tensor) -> Tensor:
    """A plain nn.MSELoss: the mean over everything."""
    return F.mse_loss(model(x), x)


def summed_square(model: nn.Module, x: Tensor) -> Tensor:
    """Sum over pixels, mean over the batch."""
    return F.mse_loss(model(x), x, reduction="sum") / len(x)


def negative_elbo(model: ConvVAE, x: Tensor) -> Tensor:
    """Binary cross-entropy and KL in nats: sums over pixels and dimensions, mean over the batch."""
    logits, mean, log_var = model(x)
    reconstruction = F.binary_cross_entropy_with_logits(logits, x, reduction="sum")
    kl = -0.5 * torch.sum(1 + log_var - mean.square() - log_var.exp())
    return (reconstruction + kl) / len(x)


def through(model: nn.Module, x: Tensor) -> Tensor:
    """Reconstructions by an autoencoder without chance."""
    return model(x)


def through_mean(model: ConvVAE, x: Tensor) -> Tensor:
    """Reconstructions by the mean code."""
    mean, _ = model.encoder(x).chunk(2, dim=1)
    return torch.sigmoid(model.decoder(mean))


@torch.no_grad()
def test_mse(model: nn.Module, reconstruct: Objective, test: Tensor) -> float:
    """Mean squared error per pixel, each image counted once."""
    squares = [F.mse_loss(reconstruct(model, x), x, reduction="sum").item() for x in test.split(1000)]
    return sum(squares) / test.numel()
