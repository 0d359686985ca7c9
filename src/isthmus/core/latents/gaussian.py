"""Gaussian latent: q(z|x) = N(mean(x), diag exp(log_var(x))), prior p(z) = N(0, I).

z = mean + exp(log_var / 2) * epsilon, epsilon ~ N(0, I): the reparameterisation of Kingma and
Welling, "Auto-encoding variational Bayes" (arXiv:1312.6114).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from isthmus.core.latents.base import Latent
from isthmus.core.types import Code, DiagonalGaussian

LOG_VAR_RANGE = (-20.0, 10.0)  # keeps exp() finite even in half precision; training stays far inside


class Gaussian(Latent):
    """A normal distribution for each example. See `Latent` for the arguments."""

    probabilistic = True

    def __init__(self, *, dim: int, width: int) -> None:
        super().__init__(dim=dim, width=width)
        self.moments = nn.Linear(width, 2 * self.dim)

    def encode(self, h: Tensor) -> Code:
        mean, log_var = self.moments(h).float().chunk(2, dim=1)
        return Code(mean.to(h.dtype), DiagonalGaussian(mean, log_var.clamp(*LOG_VAR_RANGE)))

    def forward(self, h: Tensor) -> Code:
        posterior = self.encode(h).posterior
        assert posterior is not None
        mean, log_var = posterior
        z = mean + torch.exp(0.5 * log_var) * torch.randn_like(mean)
        return Code(z.to(h.dtype), posterior)
