"""The linear estimator of least mean squared error, also called the Wiener filter.

x has the mean m and the covariance C = U diag(l) U^T, and y = x + sigma e with white noise e. The estimate is
m + C (C + sigma^2 I)^-1 (y - m): along each principal component, y - m shrinks by l / (l + sigma^2). It is
the best of all estimators where x is normal. Kay, "Fundamentals of statistical signal processing" (1993),
section 12.5.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor


class LinearEstimator(NamedTuple):
    """Mean and principal components of clean examples.

    Attributes:
        mean: Shape: [F], float64.
        variances: along the components, at least 0. Shape: [F], float64.
        components: one in each column. Shape: [F, F], float64.
    """

    mean: Tensor
    variances: Tensor
    components: Tensor

    @classmethod
    def fit(cls, batches: Iterable[Tensor]) -> LinearEstimator:
        """Fit to clean examples. Shape of each batch: [B, ...]; at least one."""
        count, total, products = 0, torch.zeros(()), torch.zeros(())
        origin: Tensor | None = None
        for batch in batches:
            x = batch.flatten(1).double()
            origin = x.mean(0) if origin is None else origin  # sums of large squares would lose digits
            x = x - origin
            count, total, products = count + len(x), total + x.sum(0), products + x.T @ x
        assert origin is not None
        mean = total / count
        variances, components = torch.linalg.eigh(products / count - torch.outer(mean, mean))
        return cls(origin + mean, variances.clamp(min=0), components)

    def __call__(self, noisy: Tensor, std: float) -> Tensor:
        """The estimate of clean examples. Shapes: [B, ...] -> the same, float32.

        Args:
            noisy: with white noise.
            std: its standard deviation, above 0.
        """
        kept = self.variances / (self.variances + std**2)
        codes = (noisy.flatten(1).double() - self.mean) @ self.components
        return ((codes * kept) @ self.components.T + self.mean).reshape(noisy.shape).float()
