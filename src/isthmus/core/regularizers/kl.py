"""Kullback-Leibler divergence from the posterior to the prior N(0, I), in nats.

KL(q || p) = 1/2 sum_d (mean_d^2 + var_d - log var_d - 1)   (Kingma and Welling, arXiv:1312.6114)

A weight other than 1, applied by the objective, makes the beta-VAE (Higgins et al. 2017). Free bits (Kingma
et al. 2016, arXiv:1606.04934) do not penalize a dimension whose mean over the batch is below a floor.
"""

from __future__ import annotations

import torch
from torch import Tensor

from isthmus.common.errors import BadInput, check_float
from isthmus.core.regularizers.base import Regularizer
from isthmus.core.types import DiagonalGaussian, ForwardResult


def kl_to_standard_normal(posterior: DiagonalGaussian) -> Tensor:
    """KL of each dimension to N(0, 1), in nats. Shape: [B, D]."""
    mean, log_var = posterior
    # expm1 avoids the cancellation in exp() - 1 near the prior
    return 0.5 * (mean.square() + (torch.expm1(log_var) - log_var))


class KL(Regularizer):
    """For probabilistic latents.

    Args:
        weight: see `Regularizer`; 1 for a VAE, beta for a beta-VAE.
        warmup_epochs: see `Regularizer`.
        free_bits: floor of each dimension's divergence in nats, at least 0; 0 for none.
    """

    def __init__(self, *, weight: float, warmup_epochs: float, free_bits: float) -> None:
        super().__init__(weight=weight, warmup_epochs=warmup_epochs)
        self.free_bits = check_float("free_bits", free_bits, least=0.0)

    def value(self, result: ForwardResult) -> Tensor:
        assert result.code.posterior is not None
        return kl_to_standard_normal(result.code.posterior).sum(1)

    def penalty(self, result: ForwardResult, value: Tensor) -> Tensor:
        if self.free_bits == 0:
            return value
        assert result.code.posterior is not None
        return kl_to_standard_normal(result.code.posterior).mean(0).clamp(min=self.free_bits).sum()

    def check(self, *, probabilistic: bool) -> None:
        if not probabilistic:
            raise BadInput(
                "", "kl", "needs a latent with a distribution; use latent=gaussian, or regularizer=none"
            )
