"""The Gaussian mixture against scikit-learn's and SciPy's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal
from sklearn.datasets import make_blobs
from sklearn.mixture import GaussianMixture

from isthmus.common.errors import BadInput
from isthmus.core.detection.mixture import Mixture
from isthmus.runs.packed.fitting import fit_mixture


def test_the_energy_is_scikit_learns_negative_log_likelihood():
    x, _ = make_blobs(500, n_features=4, centers=3, random_state=0)
    theirs = GaussianMixture(3, random_state=0).fit(x)
    ours = Mixture(
        weights=torch.from_numpy(theirs.weights_),
        means=torch.from_numpy(theirs.means_),
        factors=torch.from_numpy(np.linalg.cholesky(theirs.covariances_)),
    )
    energy = ours.energy(torch.from_numpy(x).float())
    np.testing.assert_allclose(energy, -theirs.score_samples(x), rtol=1e-3)


def test_one_component_is_scipys_normal():
    covariance = np.array([[2.0, 0.5], [0.5, 1.0]])
    factor = torch.from_numpy(np.linalg.cholesky(covariance))[None]
    mixture = Mixture(weights=torch.ones(1), means=torch.tensor([[1.0, -1.0]]), factors=factor)
    z = np.random.default_rng(0).normal(size=(50, 2))
    expected = -multivariate_normal([1, -1], covariance).logpdf(z)
    np.testing.assert_allclose(mixture.energy(torch.from_numpy(z).float()), expected, rtol=1e-4)
    drawn = mixture.sample(50_000, torch.Generator().manual_seed(0))
    np.testing.assert_allclose(torch.cov(drawn.T), covariance, atol=0.05)
    np.testing.assert_allclose(drawn.mean(0), [1, -1], atol=0.03)


def test_codes_far_from_zero_lose_no_digits():
    generator = np.random.default_rng(0)
    z = generator.normal(size=(200, 3)).astype(np.float32)
    near, far = (fit_mixture(torch.from_numpy(z + at), components=1) for at in (0, 4096))
    np.testing.assert_allclose(
        far.energy(torch.from_numpy(z + 4096)), near.energy(torch.from_numpy(z)), rtol=1e-2, atol=1e-2
    )


@pytest.mark.parametrize("components", [1, 3])
def test_what_is_fitted_has_the_moments_of_the_codes(components):
    x, _ = make_blobs(2000, n_features=3, centers=3, random_state=1)
    codes = torch.from_numpy(x).float() * torch.tensor([1.0, 100.0, 0.01])
    drawn = fit_mixture(codes, components=components).sample(20_000, torch.Generator().manual_seed(0))
    np.testing.assert_allclose(drawn.mean(0), codes.mean(0), atol=0.05 * float(codes.std(0).max()))
    np.testing.assert_allclose(drawn.std(0), codes.std(0), rtol=0.05)


@pytest.mark.parametrize("codes", [torch.zeros(50, 3), torch.randn(5, 20), torch.ones(1, 2)])
def test_codes_that_collapsed_or_are_few_are_fitted_too(codes):
    mixture = fit_mixture(codes)
    assert mixture.energy(codes).isfinite().all()
    drawn = mixture.sample(100, torch.Generator().manual_seed(0))
    assert drawn.isfinite().all()


BROKEN = {
    "weights": {"weights": torch.tensor([0.2])},
    "negative": {"weights": torch.tensor([-1.0])},
    "means": {"means": torch.tensor([[float("nan"), 0.0]])},
    "flat": {"factors": torch.zeros(1, 2, 2)},
    "huge": {"factors": 1e9 * torch.eye(2)[None]},
    "shape": {"factors": torch.eye(3)[None]},
}


@pytest.mark.parametrize("name", BROKEN)
def test_numbers_that_are_no_mixture_are_refused(name):
    sound = {"weights": torch.ones(1), "means": torch.zeros(1, 2), "factors": torch.eye(2)[None]}
    Mixture(**sound)
    with pytest.raises(BadInput, match="mixture"):
        Mixture(**{**sound, **BROKEN[name]})
