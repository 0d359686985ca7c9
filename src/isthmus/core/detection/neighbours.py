"""Distance of a code to the nearest codes of training rows.

Angiulli and Pizzuti, "Fast outlier detection in high dimensional spaces" (PKDD 2002): the sum of the
distances to the k nearest neighbours; here their mean.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from isthmus.common.errors import BadInput

NEIGHBOURS = 5
MOST_REFERENCES = 2_000


class Neighbours(nn.Module):
    """The mean Euclidean distance to the `NEIGHBOURS` nearest of some codes, or to all if they are fewer.

    Args:
        references: at most `MOST_REFERENCES` codes of training rows: time and size are bounded, and distances
            are somewhat larger than to all codes, for new rows as for those that set the threshold. A model
            file contains them in float32; the decoder maps them to reconstructions of these rows.
            Shape: [R, D].

    Raises:
        BadInput: there are none or too many, or they are not finite.
    """

    references: Tensor
    centre: Tensor  # [D]

    def __init__(self, *, references: Tensor) -> None:
        super().__init__()
        fits = references.ndim == 2 and 0 < len(references) <= MOST_REFERENCES
        if not fits or not bool(references.isfinite().all()):
            raise BadInput("detector", "neighbours.references", "is not as isthmus writes it; damaged?")
        self.register_buffer("references", references.float())
        self.register_buffer("centre", self.references.mean(0), persistent=False)

    def forward(self, z: Tensor) -> Tensor:
        """Shapes: [B, D] -> [B]."""
        count = min(NEIGHBOURS, len(self.references))
        # the nearest by one product, |z - r|^2 - |z|^2, which is inexact for near ones; then exact distances
        near = self.references - self.centre
        ranked = torch.addmm(near.square().sum(1), z - self.centre, near.T, alpha=-2)
        nearest = self.references[ranked.topk(count, dim=1, largest=False).indices]  # [B, count, D]
        return torch.linalg.vector_norm(z[:, None] - nearest, dim=2).mean(1)
