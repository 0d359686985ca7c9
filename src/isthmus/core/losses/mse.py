"""Squared error: (x - reconstruction)^2."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from isthmus.core.losses.base import Loss


class MSE(Loss):
    """See `Loss` for the arguments. For data in any range that the output activation can reach."""

    def elementwise(self, raw: Tensor, x: Tensor) -> Tensor:
        return F.mse_loss(self.reconstruction(raw), x, reduction="none")
