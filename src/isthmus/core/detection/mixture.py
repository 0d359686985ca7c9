"""Gaussian mixture over codes: p(z) = sum_k w_k N(z; mean_k, L_k L_k^T).

As a density it scores anomalies; sampled, it replaces the prior of an autoencoder: Ghosh, Sajjadi, Vergari,
Black and Scholkopf, "From variational to deterministic autoencoders" (arXiv:1903.12436), ex-post density
estimation.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from isthmus.common.errors import BadInput
from isthmus.core.detection.residuals import squared_length

LARGEST = 1e6  # magnitude of a factor: a sample stays finite


class Mixture(nn.Module):
    """A mixture of K normal distributions with full covariances.

    Args:
        weights: probabilities of the components. Shape: [K].
        means: Shape: [K, D].
        factors: lower Cholesky factors of the covariances. Shape: [K, D, D].

    Raises:
        BadInput: the numbers are not those of a mixture.
    """

    weights: Tensor
    means: Tensor
    factors: Tensor
    centre: Tensor  # [D]
    whitening: Tensor  # [D, K * D]
    shift: Tensor  # [K * D]
    heights: Tensor  # [K], log densities at the means, times the weights

    def __init__(self, *, weights: Tensor, means: Tensor, factors: Tensor) -> None:
        super().__init__()
        components, dim = means.shape if means.ndim == 2 else (0, 0)
        valid = (
            components > 0
            and weights.shape == (components,)
            and factors.shape == (components, dim, dim)
            and all(bool(each.isfinite().all()) for each in (weights, means, factors))
            and bool((weights >= 0).all())
            and 0.99 < float(weights.sum()) < 1.01
            and bool((factors.diagonal(dim1=1, dim2=2) > 0).all())
            and float(factors.abs().max()) < LARGEST
        )
        if not valid:
            raise BadInput("mixture", list(means.shape), "is no Gaussian mixture; is the file damaged?")
        self.register_buffer("weights", weights.float())
        self.register_buffer("means", means.float())
        self.register_buffer("factors", factors.float().tril())
        exact = factors.double().tril()
        white = torch.linalg.solve_triangular(exact, torch.eye(dim).double().expand_as(exact), upper=False)
        centre = (weights.double() @ means.double()).float()  # float32 is exact near 0
        white_means = (white @ (means.double() - centre)[..., None])[..., 0]
        self.register_buffer("centre", centre, persistent=False)
        self.register_buffer("whitening", white.flatten(0, 1).T.float(), persistent=False)
        self.register_buffer("shift", -white_means.flatten().float(), persistent=False)
        log_det = exact.diagonal(dim1=1, dim2=2).log().sum(1)
        heights = weights.double().log() - log_det - 0.5 * dim * math.log(2 * math.pi)
        self.register_buffer("heights", heights.float(), persistent=False)

    def energy(self, z: Tensor) -> Tensor:
        """Negative log density, in nats. Shapes: [B, D] -> [B]."""
        return -torch.add(self.heights, self.distances(z), alpha=-0.5).logsumexp(1)

    def distances(self, z: Tensor) -> Tensor:
        """Squared Mahalanobis distances to the components. Shapes: [B, D] -> [B, K]."""
        # one product for all components: L_k^-1 (z - mean_k)
        white = torch.addmm(self.shift, z - self.centre, self.whitening)
        return squared_length(white.unflatten(1, self.means.shape))

    def sample(self, count: int, generator: torch.Generator) -> Tensor:
        """`count` codes; the generator is on the CPU. Shape: [count, D]."""
        chosen = torch.multinomial(self.weights.cpu(), count, replacement=True, generator=generator)
        noise = torch.randn(count, self.means.shape[1], generator=generator).to(self.means)
        chosen = chosen.to(self.means.device)
        return self.means[chosen] + (self.factors[chosen] @ noise[..., None])[..., 0]
