"""Gaussian negative log-likelihood: (x - mean)^2 / (2 s^2) + log s + log(2 pi) / 2, in nats.

A fixed s sets the weight of the reconstruction relative to the regularizers (s^2 = 1/2: the squared error
plus a constant). A learned s, shared by all features, finds this weight in training: Rybkin, Daniilidis and
Levine, "Simple and effective VAE training with calibrated decoders" (arXiv:2006.13202).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from isthmus.common.errors import BadInput, check_float
from isthmus.core.losses.base import Loss


class Gaussian(Loss):
    """The reconstruction is the mean of a normal distribution over x.

    Args:
        variance: s^2, above 0, or ``learned``: one value for all features, starting at 1.
        reduction: see `Loss`.
        output_activation: see `Loss`.
    """

    log_variance: Tensor

    def __init__(self, *, variance: float | str, reduction: str, output_activation: str) -> None:
        super().__init__(reduction=reduction, output_activation=output_activation)
        if variance == "learned":
            self.log_variance = nn.Parameter(torch.zeros(()))
        else:
            if isinstance(variance, str):
                raise BadInput("variance", variance, "must be learned, or a number above 0")
            fixed = check_float("variance", variance, above=0.0)
            self.register_buffer("log_variance", torch.tensor(math.log(fixed)), persistent=False)

    def elementwise(self, raw: Tensor, x: Tensor) -> Tensor:
        squared = (x - self.reconstruction(raw)).square()
        return 0.5 * (squared * torch.exp(-self.log_variance) + self.log_variance + math.log(2 * math.pi))
