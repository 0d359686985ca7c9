"""Running means over an epoch, reduced over all processes by `compute`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torchmetrics import Metric

from isthmus.core.metrics.latent import active_units
from isthmus.core.metrics.reconstruction import psnr
from isthmus.core.regularizers.kl import kl_to_standard_normal
from isthmus.core.types import DiagonalGaussian

# Sums over many batches lose digits in single precision; MPS has no float64.
SUM_DTYPE = torch.float32 if torch.backends.mps.is_available() else torch.float64


class Means(Metric):
    """Means of several named values, weighted by the number of examples.

    Args:
        names: of the values, in the order in which `update` gets them.
    """

    full_state_update = False
    sums: Tensor
    count: Tensor

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__()
        self.names = list(names)
        self.add_state("sums", torch.zeros(len(self.names), dtype=SUM_DTYPE), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros((), dtype=SUM_DTYPE), dist_reduce_fx="sum")

    def update(self, means: Tensor, count: int | Tensor) -> None:
        """Add the means over `count` examples. Shape: [len(names)]."""
        self.sums += means.to(SUM_DTYPE) * count
        self.count += count

    def update_many(self, means: Tensor, counts: Tensor) -> None:
        """Add the means of several batches at once. Shapes: [batches, len(names)], [batches]."""
        total = counts.sum()
        self.update(counts.to(SUM_DTYPE) @ means.to(SUM_DTYPE) / total, total)

    def compute(self) -> dict[str, Tensor]:
        """The means so far, by name."""
        return dict(zip(self.names, (self.sums / self.count).float(), strict=True))


class LatentUse(Metric):
    """KL per dimension and active units of a probabilistic latent.

    Args:
        dim: D.
    """

    full_state_update = False
    kl: Tensor
    mean: Tensor
    mean_square: Tensor
    count: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        for name in ("kl", "mean", "mean_square"):
            self.add_state(name, torch.zeros(dim, dtype=SUM_DTYPE), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros((), dtype=SUM_DTYPE), dist_reduce_fx="sum")

    def update(self, posterior: DiagonalGaussian) -> None:
        """Add the posteriors of a batch. Shapes: [B, D]."""
        mean = posterior.mean.to(SUM_DTYPE)
        self.kl += kl_to_standard_normal(posterior).to(SUM_DTYPE).sum(0)
        self.mean += mean.sum(0)
        self.mean_square += mean.square().sum(0)
        self.count += len(mean)

    def compute(self) -> tuple[Tensor, Tensor]:
        """KL per dimension in nats, [D], and the number of active units, a scalar."""
        return (self.kl / self.count).float(), active_units(self.mean, self.mean_square, self.count)


def reported(means: Mapping[str, Tensor], *, value_range: tuple[float, float]) -> dict[str, Tensor]:
    """Means as they are reported: images with a range, which have an SSIM, get their mse's PSNR, in dB."""
    low, high = value_range
    named: dict[str, Tensor] = {}
    for name, mean in means.items():
        if name == "ssim":
            named["psnr"] = psnr(means["mse"], data_range=high - low)
        named[name] = mean
    return named
