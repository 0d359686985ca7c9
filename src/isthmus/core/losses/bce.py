"""Binary cross-entropy on logits: -x log s(raw) - (1 - x) log(1 - s(raw)), s the sigmoid.

In nats. For x strictly between 0 and 1 the minimum is the entropy of x, not 0.
"""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor

from isthmus.common.errors import BadInput
from isthmus.core.losses.base import Loss


class BCE(Loss):
    """For data in [0, 1]. The sigmoid is part of the loss, so it is never applied twice.

    Args:
        reduction: see `Loss`.
    """

    def __init__(self, *, reduction: str) -> None:
        super().__init__(reduction=reduction, output_activation="sigmoid")

    def elementwise(self, raw: Tensor, x: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(raw, x, reduction="none")

    def check(self, value_range: tuple[float, float]) -> None:
        low, high = value_range
        if low < 0 or high > 1:
            lie = f"lie in [{low:g}, {high:g}]" if math.isfinite(high - low) else "are not bounded"
            raise BadInput(
                "",
                "bce",
                f"needs data in [0, 1], but the data {lie}; use loss=mse (a model= preset may have set bce), "
                "or data.scaling=minmax for arrays and tables",
            )
