"""The distribution of residuals x - reconstruction of normal examples."""

from __future__ import annotations

import math

from torch import Tensor, nn

from isthmus.common.errors import BadInput
from isthmus.core.detection.blur import Blur

LARGEST_SIGMA = 100.0  # pixels


class Residuals(nn.Module):
    """Standardises residuals, y = (blur(r) - mean) / std, and measures how unlike normal ones they are.

    Args:
        shape: of an example: (C, H, W) or (F,).
        sigma: of `Blur`, in pixels; 0 for none. Shape: [].
        mean: of each feature. Shape: [F].
        std: what each feature is divided by, above 0: its standard deviation, raised towards that of the
            others, as features that hardly vary on normal examples would outweigh all others. Shape: [F].
        whitening: W such that W^T y has the identity as its covariance on normal examples; or no columns,
            where features are too many for that. Shape: [F, F] or [F, 0].

    Raises:
        BadInput: the numbers do not match, or are not finite or positive.
    """

    sigma: Tensor
    mean: Tensor
    std: Tensor
    whitening: Tensor

    def __init__(
        self, shape: tuple[int, ...], *, sigma: Tensor, mean: Tensor, std: Tensor, whitening: Tensor
    ) -> None:
        super().__init__()
        features = math.prod(shape)
        shapes: dict[str, list[tuple[int, ...]]] = {
            "sigma": [()],
            "mean": [(features,)],
            "std": [(features,)],
        }
        shapes["whitening"] = [(features, features), (features, 0)]
        every = {"sigma": sigma, "mean": mean, "std": std, "whitening": whitening}
        for name, each in every.items():
            valid = tuple(each.shape) in shapes[name] and bool(each.isfinite().all())
            if not valid or (name == "std" and not bool((each > 0).all())):
                raise BadInput("detector", f"residuals.{name}", "is not as isthmus writes it; damaged?")
            self.register_buffer(name, each.float())
        width = float(sigma)
        if not (width == 0 or (0 < width < LARGEST_SIGMA and len(shape) == 3)):
            raise BadInput("detector", "residuals.sigma", "is not as isthmus writes it; damaged?")
        self.blur = Blur(shape, width) if width else nn.Identity()

    def standardised(self, residual: Tensor) -> Tensor:
        """Each feature in units of `std`. Shapes: [B, F] -> [B, F]."""
        return (self.blur(residual) - self.mean) / self.std

    def distance(self, y: Tensor) -> Tensor:
        """Squared length of standardised residuals; squared Mahalanobis distance where they are whitened.

        Shapes: [B, F] -> [B].
        """
        return (y @ self.whitening if self.whitening.shape[1] else y).square().sum(1)
