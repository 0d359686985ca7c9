"""The distribution of residuals x - reconstruction of normal examples.

Their covariance is that of a factor model: R directions with variances of their own, and one variance for all
others: Tipping and Bishop, "Probabilistic principal component analysis" (1999). It can be estimated from few
rows, and evaluated for images.
"""

from __future__ import annotations

from torch import Tensor, nn

from isthmus.common.errors import BadInput


class Residuals(nn.Module):
    """Residuals y = (r - mean) / std with covariance U diag(variances) U^T + rest (I - U U^T).

    Args:
        mean: of each feature. Shape: [F].
        std: standard deviation of each feature, above 0. Shape: [F].
        basis: U, orthonormal columns. Shape: [F, R].
        variances: in these directions, above 0. Shape: [R].
        rest: variance in all other directions, above 0. Shape: [].

    Raises:
        BadInput: the numbers do not match, or are not finite or positive.
    """

    mean: Tensor
    std: Tensor
    basis: Tensor
    variances: Tensor
    rest: Tensor

    def __init__(self, *, mean: Tensor, std: Tensor, basis: Tensor, variances: Tensor, rest: Tensor) -> None:
        super().__init__()
        every = {"mean": mean, "std": std, "basis": basis, "variances": variances, "rest": rest}
        features, rank = basis.shape if basis.ndim == 2 else (0, 0)
        shapes = {"mean": (features,), "std": (features,), "variances": (rank,), "rest": ()}
        for name, each in every.items():
            valid = tuple(each.shape) == shapes.get(name, (features, rank)) and bool(each.isfinite().all())
            if not valid or (name in ("std", "variances", "rest") and not bool((each > 0).all())):
                raise BadInput("detector", f"residuals.{name}", "is not as isthmus writes it; damaged?")
            self.register_buffer(name, each.float())

    def standardised(self, residual: Tensor) -> Tensor:
        """Each feature in standard deviations of normal examples. Shapes: [B, F] -> [B, F]."""
        return (residual - self.mean) / self.std

    def distance(self, y: Tensor) -> Tensor:
        """Squared Mahalanobis distance of standardised residuals. Shapes: [B, F] -> [B]."""
        along = y @ self.basis
        beside = (y - along @ self.basis.T).square().sum(1)  # a difference of squares would cancel
        return (along.square() / self.variances).sum(1) + beside / self.rest
