"""Huber loss: e^2 / 2 for |e| <= delta, delta (|e| - delta / 2) beyond (Huber 1964)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from isthmus.common.errors import check_float
from isthmus.core.losses.base import Loss


class Huber(Loss):
    """Squared near zero and absolute beyond `delta`, so that outliers weigh less.

    Args:
        delta: threshold between squared and absolute error, in the unit of the data; above 0.
        reduction: see `Loss`.
        output_activation: see `Loss`.
    """

    def __init__(self, *, delta: float, reduction: str, output_activation: str) -> None:
        super().__init__(reduction=reduction, output_activation=output_activation)
        self.delta = check_float("delta", delta, above=0.0)

    def elementwise(self, raw: Tensor, x: Tensor) -> Tensor:
        return F.huber_loss(self.reconstruction(raw), x, reduction="none", delta=self.delta)
