"""Anomaly scores of a trained autoencoder: how unlike normal examples a reconstruction and a code are.

The combined score is a sum of two: that of the residual, which is large off the manifold that the decoder
spans, and that of the code, which is large on it, but far from normal codes.

Up to 100 features, both are negative log densities, and so is their sum: of code and residual together. The
residuals of more features are correlated in a way that is not known. There, both are logarithms in standard
deviations over held-out normal examples, so that they can be added, and the code counts half.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from isthmus.common.errors import BadInput
from isthmus.core.detection.mixture import Mixture
from isthmus.core.detection.neighbours import Neighbours
from isthmus.core.detection.observed import Observed
from isthmus.core.detection.residuals import Residuals, squared_length

SCORES = ("combined", "mse", "likelihood", "whitened", "residual", "code", "code_mahalanobis", "code_knn")
CODE_WEIGHT = 0.5
TINY = 1e-12


class Detector(nn.Module):
    """Scores examples; larger is more anomalous.

    - mse: the mean squared error.
    - likelihood: the loss of the reconstruction, which is a negative log-likelihood for bce, gaussian, mixed.
    - whitened: the mean squared error, each feature being in the unit of its spread over normal examples.
    - residual: the Mahalanobis distance of the residual, which also knows how errors go together, large ones
      counting by their logarithm; above 100 features the same as whitened.
    - code: the negative log density of the code under the Gaussian mixture of normal codes.
    - code_mahalanobis: the squared Mahalanobis distance of the code: the density of one normal distribution.
    - code_knn: the mean distance to the 5 nearest normal codes; see `Neighbours`.
    - combined: see the module, with the mixture for the code; the default.

    Args:
        residuals: of normal examples.
        mixture: of their codes.
        normal: one component, of their codes.
        neighbours: among their codes.
        origin: the least energy of normal codes, from which that of others is counted. Shape: [].
        centre: mean log score of held-out normal examples, of residual and code. Shape: [2].
        spread: standard deviation of these, above 0. Shape: [2].
    """

    origin: Tensor
    centre: Tensor
    spread: Tensor

    def __init__(
        self,
        residuals: Residuals,
        mixture: Mixture,
        normal: Mixture,
        neighbours: Neighbours,
        *,
        origin: Tensor,
        centre: Tensor,
        spread: Tensor,
    ) -> None:
        super().__init__()
        self.residuals, self.mixture, self.normal, self.neighbours = residuals, mixture, normal, neighbours
        dims = {each.shape[1] for each in (mixture.means, normal.means, neighbours.references)}
        if len(dims) > 1 or len(normal.means) != 1:
            raise BadInput("detector", "codes", "are not as isthmus writes them; damaged?")
        for name, each, shape in (("origin", origin, ()), ("centre", centre, (2,)), ("spread", spread, (2,))):
            if tuple(each.shape) != shape or not bool(each.isfinite().all()):
                raise BadInput("detector", name, "is not as isthmus writes it; damaged?")
            self.register_buffer(name, each.float())
        if not bool((self.spread > 0).all()):
            raise BadInput("detector", "spread", "must be above 0")

    def forward(self, observed: Observed, score: str) -> Tensor:
        """The score of a batch that `SCORES` names; nothing else is computed.

        It is finite: the largest number where values are too large to compute with. Shape: [B].
        """
        found = self._score(observed, score)
        return found.nan_to_num(nan=torch.finfo(found.dtype).max)

    def _score(self, observed: Observed, score: str) -> Tensor:
        if score == "mse":
            return observed.mse
        if score == "likelihood":
            assert observed.losses is not None
            return observed.losses
        if score == "code_mahalanobis":
            return self.normal.distances(observed.codes)[:, 0]
        if score == "code_knn":
            return self.neighbours(observed.codes)
        if score == "code":
            return self.mixture.energy(observed.codes)
        y = self.residuals.standardised(observed.residuals)
        if score == "whitened":
            return squared_length(y) / y.shape[1]
        residual = self.residuals.distance(y)
        if score == "residual":
            return residual
        energy = self.mixture.energy(observed.codes)
        if self.residuals.is_normal:
            return joint_energy(residual, energy)
        logs = log_scores(residual, energy, self.origin, observed.codes.shape[1])
        return combined((logs - self.centre) / self.spread)


def joint_energy(residual: Tensor, energy: Tensor) -> Tensor:
    """The combined score up to 100 features, in nats, up to a constant. Shapes: [B], [B] -> [B]."""
    return residual / 2 + energy


def combined(scores: Tensor) -> Tensor:
    """The combined score above that. A good score does not make up for a bad one: they count from -1.

    Shape: [B, 2] -> [B].
    """
    residual, code = scores.clamp(min=-1).unbind(1)
    return residual + CODE_WEIGHT * code


def log_scores(residual: Tensor, energy: Tensor, origin: Tensor, dim: int) -> Tensor:
    """Logarithms of both scores. The energy counts from `origin`, and as D / 2 there, its mean for a normal
    distribution, so that its logarithm is defined. Shapes: [B], [B] -> [B, 2].
    """
    code = (energy - origin).clamp(min=0) + dim / 2
    return torch.stack([(residual + TINY).log(), code.log()], dim=1)


def threshold(held_out: Tensor, rate: float) -> float:
    """The score above which an example is an anomaly.

    At most a share of `rate` of new normal examples is above it, on average over held-out sets: the k-th
    smallest of n scores, k = ceil((n + 1)(1 - rate)). Vovk, Gammerman and Shafer, "Algorithmic learning in a
    random world" (2005); infinite where n is too small for the rate.

    Args:
        held_out: scores of normal examples that were neither trained on nor fitted to, sorted. Shape: [N].
        rate: of false alarms, above 0 and below 1.
    """
    count = len(held_out)
    place = math.ceil((count + 1) * (1 - rate) - 1e-9)
    return float(held_out[place - 1]) if place <= count else math.inf
