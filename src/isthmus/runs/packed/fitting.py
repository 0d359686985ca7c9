"""Fits what a trained model needs besides its weights, on training and held-out rows."""

from __future__ import annotations

import math
import warnings

import numpy as np
import torch
from torch import Tensor

from isthmus.common.listing import class_name
from isthmus.core.detection.mixture import Mixture
from isthmus.core.detection.observed import Observed, observe
from isthmus.data.loading.splits import evenly_spaced
from isthmus.data.module import DataModule
from isthmus.runs.packed.calibration import fit_detector
from isthmus.runs.packed.model_file import ModelFile
from isthmus.runs.packed.opening import OpenedModel, open_model

MOST_ROWS = 5_000  # of training and of validation rows, each
COMPONENTS = 10  # of a mixture, at most
ROWS_PER_COMPONENT = 10  # for each coordinate
MOST_VALUES = 16 << 20  # of these rows, each: residuals are held in memory
ITERATIONS = 25  # of expectation maximisation


def fitted(file: ModelFile, data: DataModule, device: torch.device) -> ModelFile:
    """The model with ``codes.*``, ``detector.*`` and ``held_out.*``: see `tasks.engine.Engine`; and with the
    classes of the training rows.

    Args:
        file: the model, with its weights alone.
        data: that it was trained on.
        device: where to compute.
    """
    model = open_model(file, device)
    most = max(1, min(MOST_ROWS, MOST_VALUES // math.prod(file.shape)))
    trained, held_out = (
        _observed(model, data, evenly_spaced(rows, most)) for rows in (data.split.train, data.split.val)
    )
    codes = trained.codes
    mixture, normal = fit_mixture(codes), fit_mixture(codes, components=1)
    detector, scores = fit_detector(trained, held_out, mixture, normal, file.shape)
    tensors = {"codes.mean": codes.mean(0), "codes.std": codes.std(0, correction=0)}
    tensors |= {f"detector.{name}": each for name, each in detector.state_dict().items()}
    # float32, as new scores are
    tensors |= {f"held_out.{name}": each.float() for name, each in scores.items()}
    about = {**file.data, "trained_classes": _classes(data)}
    return file._replace(tensors={**file.tensors, **tensors}, data=about)


def is_fitted(file: ModelFile) -> bool:
    """Whether `fitted` made the model."""
    return bool(file.named("detector."))


def _classes(data: DataModule) -> list[str] | None:
    """The classes of the training rows; None if they have no labels."""
    source = data.source
    if source.labels is None:
        return None
    present = source.labels[data.split.train].unique().tolist()
    return [class_name(number, source.label_names) for number in present]


def _observed(model: OpenedModel, data: DataModule, rows: Tensor) -> Observed:
    """These rows through the model; on the CPU."""
    features = math.prod(model.file.shape)
    parts = [(torch.empty(0, model.autoencoder.latent.dim), torch.empty(0, features), torch.empty(0))]
    with torch.inference_mode():
        for batch in data.whole_loader(rows) if len(rows) else ():
            x = model.scaling(batch.x.to(model.scaling.scale.device)).to(model.dtype)
            found = observe(model.autoencoder, x, losses=True)
            assert found.losses is not None
            parts.append((found.codes.cpu(), found.residuals.cpu(), found.losses.cpu()))
    return Observed(*(torch.cat(each) for each in zip(*parts, strict=True)))


def fit_mixture(codes: Tensor, *, components: int = COMPONENTS) -> Mixture:
    """A Gaussian mixture of at most `components`, fewer where there are few codes. Shape: [N, D].

    Fitted to standardised codes by scikit-learn; one component has the covariance of Ledoit and Wolf, which
    is sound where there are fewer codes than coordinates.
    """
    count, dim = codes.shape
    mean, std = codes.mean(0), codes.std(0, correction=0).clamp(min=1e-6)
    standard = ((codes - mean) / std).double().numpy()
    most = max(1, min(components, count // (ROWS_PER_COMPONENT * dim)))
    if most == 1:
        from sklearn.covariance import LedoitWolf

        with warnings.catch_warnings(action="ignore"):  # of a single code
            estimate = LedoitWolf().fit(standard)
        weights, means = np.ones(1), estimate.location_[None]
        covariances = estimate.covariance_[None]
    else:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.mixture import GaussianMixture

        estimator = GaussianMixture(
            most, random_state=0, reg_covar=1e-4, max_iter=ITERATIONS, init_params="k-means++"
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # near enough
            estimator.fit(standard)
        weights, means, covariances = estimator.weights_, estimator.means_, estimator.covariances_
    regular = covariances + 1e-6 * np.eye(dim)
    factors = torch.from_numpy(np.linalg.cholesky(regular)) * std[:, None]
    centres = torch.from_numpy(means) * std + mean
    return Mixture(weights=torch.from_numpy(weights), means=centres, factors=factors)
