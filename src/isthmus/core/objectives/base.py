"""Interface of an objective: combines the loss terms into the scalar to minimise."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn


class Objective(nn.Module, ABC):
    """Combines the reconstruction loss and the penalties of a batch."""

    @abstractmethod
    def forward(self, reconstruction: Tensor, penalties: list[Tensor], weights: list[Tensor]) -> Tensor:
        """The scalar to minimise.

        Args:
            reconstruction: loss of each example. Shape: [B].
            penalties: each regularizer's penalty, unweighted. Shapes: [B] or scalar.
            weights: the weight of each, as it has warmed up. Scalars.
        """
