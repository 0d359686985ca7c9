"""Fréchet distance between two sets of features, each taken for a normal distribution.

|m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)), m the means and S the covariances (Dowson and Landau 1982, "The
Frechet distance between multivariate normal distributions"). With the features of an Inception network it is
known as FID (Heusel et al. 2017, arXiv:1706.08500); values of other features cannot be compared with those.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Moments(NamedTuple):
    """Mean [D] and covariance [D, D] of features, float64."""

    mean: Tensor
    covariance: Tensor


def moments(features: Tensor) -> Moments:
    """Of at least two rows. Shape: [N, D]."""
    exact = features.double()
    return Moments(exact.mean(0), torch.cov(exact.T).reshape(exact.shape[1], exact.shape[1]))


def frechet_distance(first: Moments, second: Moments) -> float:
    """The squared distance, at least 0, in squared units of the features.

    The square root is taken of the symmetric S1^(1/2) S2 S1^(1/2), which has the eigenvalues of S1 S2 and is
    sound where a covariance is singular.
    """
    root = _root(first.covariance)
    eigenvalues = torch.linalg.eigvalsh(root @ second.covariance @ root).clamp(min=0)
    cross = eigenvalues.sqrt().sum()
    apart = (first.mean - second.mean).square().sum()
    distance = apart + first.covariance.trace() + second.covariance.trace() - 2 * cross
    return max(0.0, float(distance))


def _root(matrix: Tensor) -> Tensor:
    """The symmetric square root of a symmetric matrix without negative eigenvalues. Shape: [D, D]."""
    values, vectors = torch.linalg.eigh(matrix)
    return vectors * values.clamp(min=0).sqrt() @ vectors.T
