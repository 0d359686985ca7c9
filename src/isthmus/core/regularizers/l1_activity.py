"""L1 activity: sum_d |z_d|, which makes codes sparse (as in Ng, "Sparse autoencoder", CS294A 2011)."""

from __future__ import annotations

from torch import Tensor

from isthmus.core.regularizers.base import Regularizer
from isthmus.core.types import ForwardResult


class L1Activity(Regularizer):
    """For any latent. See `Regularizer` for the arguments."""

    def __init__(self, *, weight: float, warmup_epochs: float) -> None:
        super().__init__(weight=weight, warmup_epochs=warmup_epochs)

    def value(self, result: ForwardResult) -> Tensor:
        return result.code.z.abs().sum(1)
