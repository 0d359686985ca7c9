"""The blur of residuals against SciPy, and what the combined score is made of."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from scipy.spatial.distance import mahalanobis
from scipy.stats import multivariate_normal
from sklearn.covariance import LedoitWolf
from sklearn.neighbors import NearestNeighbors

from isthmus.core.detection.blur import Blur
from isthmus.core.detection.detector import SCORES, Detector, combined
from isthmus.core.detection.mixture import Mixture
from isthmus.core.detection.neighbours import MOST_REFERENCES, Neighbours
from isthmus.core.detection.observed import Observed
from isthmus.core.detection.residuals import Residuals
from isthmus.runs.packed.calibration import fit_detector
from isthmus.runs.packed.fitting import fit_mixture


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
    neighbours = Neighbours(references=torch.zeros(1, dim))
    return Detector(
        residuals, mixture, mixture, neighbours, origin=zero, centre=torch.zeros(2), spread=torch.ones(2)
    )


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
    found = detector(2.0, covariance, code_covariance)(observed, "combined").numpy()
    residual = multivariate_normal(cov=covariance).logpdf(2 * np.arcsinh(observed.residuals.numpy() / 2))
    expected = -residual - multivariate_normal(cov=code_covariance).logpdf(observed.codes.numpy())
    np.testing.assert_allclose(found - found[0], expected - expected[0], rtol=1e-4, atol=1e-4)


def test_a_detector_of_an_earlier_version_scores_as_it_did(rows):
    covariance, code_covariance, observed = rows
    found = {
        score: detector(0.0, covariance, code_covariance)(observed, score)
        for score in ("residual", "code", "combined")
    }
    distance = np.einsum("bi,ij,bj->b", observed.residuals, np.linalg.inv(covariance), observed.residuals)
    np.testing.assert_allclose(found["residual"], distance, rtol=1e-4)
    logs = np.stack([np.log(distance), np.log(np.maximum(found["code"].numpy(), 0) + 1.5)])
    residual, code = np.maximum(logs, -1)
    np.testing.assert_allclose(found["combined"], residual + 0.5 * code, rtol=1e-4, atol=1e-4)


def fitted_to(codes: np.ndarray, held_out: np.ndarray) -> tuple[Detector, dict[str, torch.Tensor]]:
    """A detector of these codes and the scores of those held out; all residuals are 0."""
    both = [
        Observed(torch.from_numpy(each).float(), torch.zeros(len(each), 3), torch.zeros(len(each)))
        for each in (codes, held_out)
    ]
    mixture, normal = fit_mixture(both[0].codes), fit_mixture(both[0].codes, components=1)
    return fit_detector(*both, mixture, normal, (3,))


def scores_of(detector: Detector, codes: np.ndarray, score: str) -> np.ndarray:
    zeros = torch.zeros(len(codes), 3)
    return detector(Observed(torch.from_numpy(codes).float(), zeros, None), score).numpy()


@pytest.mark.parametrize("dim", [1, 4])
def test_code_mahalanobis_is_the_squared_distance_of_scipy_with_the_covariance_of_scikit_learn(dim):
    generator = np.random.default_rng(0)
    codes = 100 + generator.normal(size=(500, dim)) @ generator.normal(size=(dim, dim))
    new = codes[:50] + generator.normal(size=(50, dim))
    detector, held_out = fitted_to(codes, new)
    found = scores_of(detector, new, "code_mahalanobis")
    mean, std = codes.mean(0), codes.std(0)
    shrunk = LedoitWolf().fit((codes - mean) / std).covariance_ * np.outer(std, std)
    expected = [mahalanobis(row, mean, np.linalg.inv(shrunk)) ** 2 for row in new]
    np.testing.assert_allclose(found, expected, rtol=1e-3)
    np.testing.assert_allclose(np.sort(found), held_out["code_mahalanobis"], rtol=1e-4)


@pytest.mark.parametrize(("rows", "dim"), [(1, 1), (3, 2), (500, 1), (500, 8), (5000, 4)])
@pytest.mark.parametrize("shift", [0, 1000])
def test_code_knn_is_the_mean_distance_of_scikit_learn(rows, dim, shift):
    generator = np.random.default_rng(0)
    codes = (shift + generator.normal(size=(rows, dim))).astype(np.float32)
    new = (shift + 2 * generator.normal(size=(100, dim))).astype(np.float32)
    new[:1] = codes[:1]  # one that is known
    detector, held_out = fitted_to(codes, new)
    kept = codes[np.linspace(0, rows - 1, min(rows, MOST_REFERENCES)).astype(int)]
    nearest = NearestNeighbors(n_neighbors=min(5, rows)).fit(kept.astype(np.float64))
    expected = nearest.kneighbors(new.astype(np.float64))[0].mean(1)
    found = scores_of(detector, new, "code_knn")
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(np.sort(found), held_out["code_knn"], rtol=1e-5)
    alone = np.concatenate([scores_of(detector, row[None], "code_knn") for row in new])
    np.testing.assert_allclose(alone, found, rtol=1e-5)


@pytest.mark.parametrize("count", [0, 1, 2, 5])
@pytest.mark.parametrize("codes", [np.zeros((40, 2)), np.ones((1, 2)), np.full((7, 30), 1e6)])
def test_few_validation_rows_and_codes_that_collapsed_give_finite_scores(codes, count):
    detector, held_out = fitted_to(codes, codes[:1].repeat(count, 0))
    assert set(held_out) == (set(SCORES) if count else set())
    for score in SCORES:
        if score != "likelihood":
            assert np.isfinite(scores_of(detector, codes + 1, score)).all()
            assert not count or (len(held_out[score]) == count and bool(held_out[score].isfinite().all()))


@pytest.mark.parametrize("size", [1e10, 1e20, 1e38])
def test_values_too_large_to_compute_with_have_the_largest_scores(size):
    generator = np.random.default_rng(0)
    detector, _ = fitted_to(generator.normal(size=(300, 4)), generator.normal(size=(60, 4)))
    codes = torch.from_numpy(generator.normal(size=(50, 4))).float()
    far = Observed(size * codes, torch.full((50, 3), size), torch.full((50,), size))
    near = Observed(codes, torch.zeros(50, 3), torch.zeros(50))
    for score in SCORES:
        found = detector(far, score)
        assert bool(found.isfinite().all())
        assert bool((found > detector(near, score).max()).all())
