"""Active units of a probabilistic latent.

A unit is active when the variance over the data of its posterior mean exceeds 0.01 (Burda, Grosse and
Salakhutdinov, "Importance weighted autoencoders", arXiv:1509.00519).
"""

from __future__ import annotations

from torch import Tensor

ACTIVE_VARIANCE = 0.01


def active_units(mean_sum: Tensor, mean_square_sum: Tensor, count: Tensor) -> Tensor:
    """The number of active units, from sums over the data of the posterior means and their squares.

    Args:
        mean_sum: sum over N of the posterior means. Shape: [D].
        mean_square_sum: sum over N of their squares. Shape: [D].
        count: N, at least 1.
    """
    variance = mean_square_sum / count - (mean_sum / count).square()
    return (variance > ACTIVE_VARIANCE).sum()
