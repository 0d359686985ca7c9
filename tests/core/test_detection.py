"""The blur of residuals against SciPy, and what the combined score is made of."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from scipy.stats import multivariate_normal

from isthmus.core.detection.blur import Blur
from isthmus.core.detection.detector import Detector, combined
from isthmus.core.detection.mixture import Mixture
from isthmus.core.detection.observed import Observed
from isthmus.core.detection.residuals import Residuals


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 9, 17), (1, 1, 5)])
@pytest.mark.parametrize("sigma", [0.5, 1.0, 2.0])
def test_blur_is_the_gaussian_filter_of_scipy(shape, sigma):
    images = torch.randn(4, *shape, generator=torch.Generator().manual_seed(0))
    expected = gaussian_filter(
        images.double().numpy(), (0, 0, sigma, sigma), mode="constant", truncate=20 / sigma
    )
    blurred = Blur(shape, sigma)(images.flatten(1)).reshape(images.shape)
    np.testing.assert_allclose(blurred, expected, atol=1e-6)


def test_a_good_code_does_not_hide_a_bad_residual():
    found = combined(torch.tensor([[4.0, -1.0], [4.0, -50.0], [0.0, 0.0], [-50.0, 4.0], [4.0, 4.0]]))
    assert found.tolist() == [3.5, 3.5, 0.0, 1.0, 6.0]


def detector(bend: float, covariance: np.ndarray, code_covariance: np.ndarray) -> Detector:
    """Of residuals and codes with these covariances, mean 0."""
    residuals = Residuals(
        (len(covariance),),
        sigma=torch.tensor(0.0),
        mean=torch.zeros(len(covariance)),
        std=torch.ones(len(covariance)),
        whitening=torch.from_numpy(np.linalg.cholesky(np.linalg.inv(covariance))),
        bend=torch.tensor(bend),
    )
    dim = len(code_covariance)
    factors = torch.from_numpy(np.linalg.cholesky(code_covariance))[None]
    mixture = Mixture(weights=torch.ones(1), means=torch.zeros(1, dim), factors=factors)
    zero = torch.zeros(())
    return Detector(residuals, mixture, origin=zero, centre=torch.zeros(2), spread=torch.ones(2))


@pytest.fixture
def rows():
    """Covariances of residuals and codes, and 50 rows of which some are far off."""
    generator = np.random.default_rng(0)
    roots = generator.normal(size=(5, 5)), generator.normal(size=(3, 3))
    residuals, codes = 4 * generator.standard_t(2, size=(50, 5)), generator.normal(size=(50, 3))
    observed = Observed(torch.from_numpy(codes).float(), torch.from_numpy(residuals).float(), torch.zeros(50))
    return *(root @ root.T + np.eye(len(root)) for root in roots), observed


def test_the_combined_score_is_the_joint_log_density_of_scipy(rows):
    covariance, code_covariance, observed = rows
    found = detector(2.0, covariance, code_covariance)(observed)["combined"].numpy()
    residual = multivariate_normal(cov=covariance).logpdf(2 * np.arcsinh(observed.residuals.numpy() / 2))
    expected = -residual - multivariate_normal(cov=code_covariance).logpdf(observed.codes.numpy())
    np.testing.assert_allclose(found - found[0], expected - expected[0], rtol=1e-4, atol=1e-4)


def test_a_detector_of_an_earlier_version_scores_as_it_did(rows):
    covariance, code_covariance, observed = rows
    found = detector(0.0, covariance, code_covariance)(observed)
    distance = np.einsum("bi,ij,bj->b", observed.residuals, np.linalg.inv(covariance), observed.residuals)
    np.testing.assert_allclose(found["residual"], distance, rtol=1e-4)
    logs = np.stack([np.log(distance), np.log(np.maximum(found["code"].numpy(), 0) + 1.5)])
    residual, code = np.maximum(logs, -1)
    np.testing.assert_allclose(found["combined"], residual + 0.5 * code, rtol=1e-4, atol=1e-4)
