"""Fréchet distance against closed forms and SciPy; precision, recall, density and coverage by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from sklearn.neighbors import NearestNeighbors

from isthmus.core.metrics.frechet import Moments, frechet_distance, moments
from isthmus.core.metrics.neighbourhoods import compare, radii


def normal(mean, covariance):
    return Moments(torch.tensor(mean).double(), torch.tensor(covariance).double())


def test_distance_of_normal_distributions_with_diagonal_covariances():
    # sum of (m1 - m2)^2 + (s1 - s2)^2
    first, second = normal([1, -2], [[4, 0], [0, 1]]), normal([0, 0], [[1, 0], [0, 9]])
    assert frechet_distance(first, second) == pytest.approx(1 + 4 + 1 + 4)
    assert frechet_distance(first, first) == pytest.approx(0, abs=1e-9)


def test_distance_is_that_of_the_matrix_square_root():
    draw = np.random.default_rng(0)
    x, y = draw.normal(size=(500, 7)) @ draw.normal(size=(7, 7)), draw.normal(2, 3, size=(400, 7))
    s1, s2 = np.cov(x.T), np.cov(y.T)
    apart = np.square(x.mean(0) - y.mean(0)).sum()
    expected = apart + np.trace(s1 + s2 - 2 * sqrtm(s1 @ s2).real)
    found = frechet_distance(moments(torch.from_numpy(x)), moments(torch.from_numpy(y)))
    assert found == pytest.approx(expected, rel=1e-9)


def test_distance_of_singular_covariances():
    flat = normal([0, 0], [[1, 0], [0, 0]])
    assert frechet_distance(flat, normal([0, 0], [[0, 0], [0, 4]])) == pytest.approx(1 + 4)
    assert frechet_distance(moments(torch.zeros(5, 1)), moments(torch.ones(5, 1))) == pytest.approx(1)


def line(*places):
    return torch.tensor(places).float()[:, None]


def test_measures_by_hand():
    real, made = line(0, 1, 3, 10), line(0.5, 2.5, 20)
    # reach of the nearest other row: real 1, 1, 2, 7; samples 2, 2, 17.5
    found = compare(real, made, 1)
    # 0.5 is near 0 and 1, and 2.5 near 3 alone; 20 is 10 from 10
    assert found.precision == pytest.approx(2 / 3)
    assert found.density == pytest.approx(3 / 3)
    assert found.coverage == pytest.approx(3 / 4)
    # 0 and 1 are near 0.5, 3 near 2.5, and 10 is 10 from 20, which reaches to 17.5
    assert found.recall == 1
    assert compare(real, real, 1).precision == 1
    assert compare(real, line(100, 101, 102), 2) == (0, 0, 0, 0)


def test_samples_crowded_in_one_place_are_precise_and_cover_little():
    real = torch.randn(400, 3, generator=torch.Generator().manual_seed(0))
    crowded = 0.01 * torch.randn(400, 3, generator=torch.Generator().manual_seed(1))
    found = compare(real, crowded, 5)
    assert found.precision == 1
    assert found.coverage < 0.1
    assert found.recall < 0.05


def test_radii_are_scikit_learns_and_equal_rows_are_at_distance_0():
    x = torch.randn(300, 6, generator=torch.Generator().manual_seed(0)) + 1000
    theirs = NearestNeighbors(n_neighbors=6, algorithm="kd_tree").fit(x.double()).kneighbors()[0][:, 4]
    np.testing.assert_allclose(radii(x, 5), theirs, rtol=1e-5)
    repeated = x[:3].repeat(4, 1)
    assert (radii(repeated, 3) == 0).all()
    assert compare(repeated, x[:3].repeat(5, 1), 2) == (1, 1, pytest.approx(2), 1)
    assert compare(repeated, x[3:9], 2).precision == 0


def test_more_rows_than_a_chunk():
    x = torch.randn(1500, 2, generator=torch.Generator().manual_seed(0))
    theirs = NearestNeighbors(n_neighbors=6).fit(x.double()).kneighbors()[0][:, 4]
    np.testing.assert_allclose(radii(x, 5), theirs, rtol=1e-6)
    assert compare(x, x.flip(0), 5).coverage == 1
