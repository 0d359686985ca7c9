"""How far samples are like real examples, and real examples like samples, by neighbourhoods in feature space.

The neighbourhood of a row is the ball around it that reaches to its k-th nearest neighbour in its own set.

- precision: share of samples in the neighbourhood of a real row; recall: share of real rows in that of a
  sample (Kynkäänniemi, Karras, Laine, Lehtinen and Aila 2019, "Improved precision and recall metric for
  assessing generative models", arXiv:1904.06991).
- density: mean number of real neighbourhoods that a sample is in, divided by k: about 1 for perfect samples,
  and larger where samples crowd in dense regions; coverage: share of real rows whose neighbourhood contains a
  sample (Naeem, Oh, Uh, Choi and Yoo 2020, "Reliable fidelity and diversity metrics for generative models",
  arXiv:2002.09797).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

CHUNK = 1_000  # rows whose distances are in memory together


class Neighbourhoods(NamedTuple):
    """Measures of samples against real rows; see the module. All but density are in [0, 1]."""

    precision: float
    recall: float
    density: float
    coverage: float


def radii(features: Tensor, k: int) -> Tensor:
    """Distance of each row to its k-th nearest neighbour among the others; k < N. Shapes: [N, D] -> [N]."""
    exact = features.double()
    # the nearest is the row itself
    parts = [_distances(part, exact).kthvalue(k + 1, dim=1).values for part in exact.split(CHUNK)]
    return torch.cat(parts)


def compare(real: Tensor, made: Tensor, k: int, *, real_radii: Tensor | None = None) -> Neighbourhoods:
    """Compare samples with real rows; they should be as many, as all but density depend on the numbers.

    Args:
        real: Shape: [N, D].
        made: samples. Shape: [M, D].
        k: neighbours, below N and M.
        real_radii: `radii` of `real`, if they are known. Shape: [N].
    """
    real, made = real.double(), made.double()
    reach = radii(real, k) if real_radii is None else real_radii
    own_reach = radii(made, k)
    recalled = covered = inside = 0
    precise = torch.zeros(len(made), dtype=torch.bool)
    for part, radius in zip(real.split(CHUNK), reach.split(CHUNK), strict=True):
        distances = _distances(part, made)  # [B, M]
        within = distances <= radius[:, None]
        precise |= within.any(0)
        inside += int(within.sum())
        covered += int(within.any(1).sum())
        recalled += int((distances <= own_reach).any(1).sum())
    count = len(made)
    return Neighbourhoods(
        precision=int(precise.sum()) / count,
        recall=recalled / len(real),
        density=inside / (k * count),
        coverage=covered / len(real),
    )


def _distances(rows: Tensor, others: Tensor) -> Tensor:
    """Euclidean; exactly 0 between equal rows, which those by a matrix product are not.

    Shapes: [A, D], [B, D] -> [A, B].
    """
    return torch.cdist(rows, others, compute_mode="donot_use_mm_for_euclid_dist")
