"""Interface of a regularizer: an unweighted penalty, and the weight it has after some epochs."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from isthmus.common.errors import check_float
from isthmus.core.types import ForwardResult


class Regularizer(nn.Module, ABC):
    """A penalty that the objective adds to the reconstruction loss, times its weight.

    The weight is relative to the reduced loss: with loss.reduction=sum a KL weight of 1 is the evidence lower
    bound.

    Args:
        weight: at least 0.
        warmup_epochs: epochs over which the weight grows linearly from 0 (Bowman et al. 2016, Sonderby et al.
            2016), possibly a fraction; 0 for none. Only in training: validation and test always use the full
            weight, so that their losses are comparable across epochs.
    """

    weight: Tensor

    def __init__(self, *, weight: float, warmup_epochs: float = 0.0) -> None:
        super().__init__()
        self.register_buffer(
            "weight", torch.tensor(check_float("weight", weight, least=0.0)), persistent=False
        )
        self.warmup_epochs = check_float("warmup_epochs", warmup_epochs, least=0.0)

    def weight_at(self, epoch: Tensor | None) -> Tensor:
        """The weight after `epoch` epochs of training (a scalar, may be fractional); None: the full one."""
        if epoch is None or self.warmup_epochs == 0:
            return self.weight
        return self.weight * (epoch / self.warmup_epochs).clamp(max=1.0)

    @abstractmethod
    def value(self, result: ForwardResult) -> Tensor:
        """The unweighted value that is logged. Shape: [B] or a scalar."""

    def penalty(self, result: ForwardResult, value: Tensor) -> Tensor:
        """The unweighted term that is minimised; by default the logged value."""
        return value

    def check(self, *, probabilistic: bool) -> None:
        """Raise `BadInput` if the latent lacks what this regularizer needs."""
