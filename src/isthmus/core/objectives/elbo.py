"""The negative evidence lower bound: reconstruction plus each penalty times its weight, mean over the batch.

With a KL of weight 1 and a likelihood as loss it is the bound of Kingma and Welling (arXiv:1312.6114);
for a latent without a distribution, the usual regularized loss.
"""

from __future__ import annotations

from torch import Tensor

from isthmus.core.objectives.base import Objective


class ELBO(Objective):
    """mean_B(reconstruction) + sum of mean_B(weight * penalty)."""

    def forward(self, reconstruction: Tensor, penalties: list[Tensor], weights: list[Tensor]) -> Tensor:
        total = reconstruction.mean()
        for penalty, weight in zip(penalties, weights, strict=True):
            total = total + (weight * penalty).mean()
        return total
