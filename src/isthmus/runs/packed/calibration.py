"""Fits a detector to normal rows: to training rows and to held-out ones, which it is calibrated with.

Residuals of held-out rows are larger than those of training rows, so the spread of residuals is mostly that
of held-out rows. Scores of held-out rows are computed by detectors that were not fitted to them: each half by
one that was fitted to the other half and the training rows.
"""

from __future__ import annotations

import warnings

import numpy as np
import torch
from torch import Tensor, nn

from isthmus.core.detection.blur import Blur
from isthmus.core.detection.detector import Detector, combined, joint_energy, log_scores
from isthmus.core.detection.mixture import Mixture
from isthmus.core.detection.neighbours import MOST_REFERENCES, Neighbours
from isthmus.core.detection.observed import Observed
from isthmus.core.detection.residuals import Residuals, bent, squared_length
from isthmus.data.loading.splits import evenly_spaced

FULL = 100  # features up to which residuals are decorrelated
PRIOR_ROWS = 10  # held-out rows that the training rows count as, for the spread of residuals
FLOOR = 1.0  # added to the variance of a feature's residual, as a share of the mean variance
BEND = 2.0  # of residuals that are decorrelated; see `Residuals`
SIGMA = 1.0  # pixels, of the blur of images
LARGEST_SPREAD, LEAST_SPREAD = 1e3, 1e-6


def fit_detector(
    trained: Observed, held_out: Observed, mixture: Mixture, normal: Mixture, shape: tuple[int, ...]
) -> tuple[Detector, dict[str, Tensor]]:
    """Fit a detector and calibrate it.

    Args:
        trained: training rows.
        held_out: validation rows; may be empty.
        mixture: of the codes of training rows.
        normal: one component, of these codes.
        shape: of an example: (C, H, W) or (F,).

    Returns:
        The detector, and the scores of held-out rows by name, sorted; see the module. Shape: [N] each.
    """
    dtype = trained.codes.dtype
    residuals = fit_residuals(trained.residuals, held_out.residuals, shape)
    mixture, normal = mixture.to(dtype), normal.to(dtype)
    references = trained.codes[evenly_spaced(torch.arange(len(trained.codes)), MOST_REFERENCES)]
    neighbours = Neighbours(references=references).to(dtype)
    judged = held_out if len(held_out.codes) else trained
    distance, whitened = (judged.residuals.new_empty(len(judged.codes)) for _ in range(2))
    for own, other in ((slice(0, None, 2), slice(1, None, 2)), (slice(1, None, 2), slice(0, None, 2))):
        fold = fit_residuals(trained.residuals, held_out.residuals[other], shape).to(dtype)
        y = fold.standardised(judged.residuals[own])
        distance[own], whitened[own] = fold.distance(y), squared_length(y) / y.shape[1]
    assert judged.losses is not None
    scores = {
        "mse": judged.mse,
        "likelihood": judged.losses,
        "whitened": whitened,
        "residual": distance,
        "code": mixture.energy(judged.codes),
        "code_mahalanobis": normal.distances(judged.codes)[:, 0],
        "code_knn": neighbours(judged.codes),
    }
    origin = scores["code"].min()
    logs = log_scores(scores["residual"], scores["code"], origin, judged.codes.shape[1])
    centre = logs.mean(0)
    spread = logs.std(0, correction=0).clamp(LEAST_SPREAD, LARGEST_SPREAD)
    if residuals.is_normal:
        scores["combined"] = joint_energy(scores["residual"], scores["code"])
    else:
        scores["combined"] = combined((logs - centre) / spread)
    detector = Detector(residuals, mixture, normal, neighbours, origin=origin, centre=centre, spread=spread)
    return detector, {name: each.sort().values for name, each in scores.items() if len(held_out.codes)}


def fit_residuals(trained: Tensor, held_out: Tensor, shape: tuple[int, ...]) -> Residuals:
    """The distribution of residuals on normal rows. Shapes: [N, F], [M, F]; M may be 0.

    Those of images of `shape` are blurred.

    Training residuals are enlarged to the size of held-out ones, and count as `PRIOR_ROWS` of these for the
    variance of each feature.
    """
    sigma = SIGMA if len(shape) == 3 else 0.0
    blur = Blur(shape, sigma).to(trained.dtype) if sigma else nn.Identity()
    own, new = blur(trained).double(), blur(held_out).double()
    size = own.square().mean().clamp(min=1e-30)
    ratio = max(1.0, float(new.square().mean() / size)) if len(new) else 1.0
    both = torch.cat([own * ratio**0.5, new])
    mean = both.mean(0)
    variance = (own - own.mean(0)).square().mean(0) * ratio
    if len(new):
        found = (new - mean).square().mean(0)
        variance = (len(new) * found + PRIOR_ROWS * variance) / (len(new) + PRIOR_ROWS)
    std = (variance + FLOOR * variance.mean() + 1e-20).sqrt()
    whitening = torch.from_numpy(_whitening(bent((both - mean) / std, BEND).numpy()))
    bend = torch.tensor(BEND if whitening.shape[1] else 0.0)
    return Residuals(shape, sigma=torch.tensor(sigma), mean=mean, std=std, whitening=whitening, bend=bend)


def _whitening(y: np.ndarray) -> np.ndarray:
    """See `Residuals`; empty above `FULL` features. Shape: [N, F] -> [F, F] or [F, 0]."""
    features = y.shape[1]
    if features > FULL:
        return np.empty((features, 0))
    from sklearn.covariance import ledoit_wolf

    with warnings.catch_warnings(action="ignore"):  # of a single row
        covariance, _ = ledoit_wolf(y, assume_centered=True)
    regular = covariance + (1e-6 * np.trace(covariance) / features + 1e-12) * np.eye(features)
    variances, basis = np.linalg.eigh(regular)
    return basis / np.sqrt(variances)
