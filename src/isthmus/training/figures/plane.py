"""Codes as points of a plane: the codes themselves, or their principal components."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Plane(NamedTuple):
    """Points of a plane.

    Attributes:
        xy: Shape: [N, 2], float32.
        axes: the names of x and y.
    """

    xy: np.ndarray
    axes: tuple[str, str]


def coordinates(codes: np.ndarray, mse: np.ndarray) -> Plane | None:
    """Codes of two numbers themselves, and those of one over the errors of their rows; None for others.

    Shapes: [N, D], [N].
    """
    if codes.shape[1] == 1:
        return Plane(np.column_stack([codes[:, 0], mse]), ("z_0", "mse"))
    return Plane(codes, ("z_0", "z_1")) if codes.shape[1] == 2 else None


def principal(codes: np.ndarray, seed: int = 0) -> Plane:
    """The first two principal components, and the share of the variance that each explains. Shape: [N, D]."""
    from sklearn.decomposition import PCA

    scaled, unit = standard(codes)
    xy, shares = np.zeros((len(codes), 2), np.float32), np.zeros(2)
    dims = min(2, *codes.shape)
    if scaled.any():
        pca = PCA(dims, random_state=seed)
        xy[:, :dims] = pca.fit_transform(scaled)
        shares[:dims] = pca.explained_variance_ratio_
    first, second = (f"PCA {number} ({share:.0%} of the variance)" for number, share in enumerate(shares, 1))
    return Plane(xy * np.float32(unit), (first, second))


def standard(x: np.ndarray) -> tuple[np.ndarray, float]:
    """Rows minus their mean, divided by one number, which is returned, so that squares do not overflow."""
    centred = x - x.mean(0, dtype=np.float64)
    unit = float(np.abs(centred).max()) or 1.0
    return (centred / unit).astype(np.float32), unit
