"""Tiles and the linear estimator, against identities and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from isthmus.core.denoising.level import noise_level
from isthmus.core.denoising.linear import LinearEstimator
from isthmus.core.denoising.tiles import in_tiles, reflected, window

SIZES = [(8, 8), (9, 8), (8, 30), (17, 23), (40, 40), (3, 5), (1, 1), (1, 20), (64, 8)]


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.5, 0.9])
def test_the_identity_gives_the_image_back(size, overlap):
    x = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))
    made = in_tiles(lambda tiles: tiles, x, (8, 8), overlap=overlap, batch=5)
    torch.testing.assert_close(made, x, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_a_function_of_pixels_is_applied_to_each(size):
    x = torch.rand(1, 1, *size, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(in_tiles(torch.square, x, (6, 9)), x.square(), rtol=1e-5, atol=1e-6)


def test_all_tiles_have_the_size_of_training_and_no_call_more_than_the_batch():
    seen = []
    in_tiles(lambda tiles: seen.append(tiles.shape) or tiles, torch.rand(3, 2, 21, 10), (8, 6), batch=7)
    assert {tuple(shape[1:]) for shape in seen} == {(2, 8, 6)}
    assert max(shape[0] for shape in seen) <= 7


def test_tiles_blend_without_seams():
    """A function that adds another constant to each tile gives a surface without jumps."""
    x = torch.zeros(1, 1, 64, 64)
    count = iter(range(10_000))
    made = in_tiles(lambda tiles: tiles + next(count) % 2, x, (16, 16), batch=1)[0, 0]
    assert made.diff(dim=0).abs().max() < 0.2
    assert made.diff(dim=1).abs().max() < 0.2


@pytest.mark.parametrize("length", [1, 2, 5, 9])
def test_edges_are_reflected_as_numpy_does(length):
    values = np.arange(length)
    expected = np.pad(values, 7, mode="reflect")
    np.testing.assert_array_equal(values[reflected(-7, length + 14, length).numpy()], expected)


@pytest.mark.parametrize("size", [2, 8, 28])
def test_windows_that_share_a_half_sum_to_one(size):
    weights = window(size)
    torch.testing.assert_close(
        weights[: size // 2] + weights[size // 2 :], torch.ones(size // 2, dtype=torch.float64)
    )
    assert (weights > 0).all()


@pytest.fixture
def correlated():
    draw = np.random.default_rng(0)
    mixing = draw.normal(size=(6, 6))
    return draw.normal(size=(4000, 6)) @ mixing.T + 1e4, draw


@pytest.mark.parametrize("std", [0.1, 1.0, 10.0])
def test_the_linear_estimator_is_its_closed_form(std, correlated):
    x, draw = correlated
    noisy = x[:50] + std * draw.normal(size=(50, 6))
    fitted = LinearEstimator.fit(torch.from_numpy(x).split(333))
    covariance = np.cov(x.T, bias=True)
    gain = covariance @ np.linalg.inv(covariance + std**2 * np.eye(6))
    expected = x.mean(0) + (noisy - x.mean(0)) @ gain.T
    np.testing.assert_allclose(fitted(torch.from_numpy(noisy), std).numpy(), expected, rtol=1e-6, atol=1e-3)


def test_no_other_linear_map_has_a_smaller_error(correlated):
    x, draw = correlated
    noisy = torch.from_numpy(x + draw.normal(size=x.shape))
    error = (LinearEstimator.fit([torch.from_numpy(x)])(noisy, 1.0).numpy() - x).var()
    for other in (lambda y: y, lambda y: y.mean(0) + 0.8 * (y - y.mean(0)), lambda y: 0 * y + y.mean(0)):
        assert error < (other(noisy.numpy()) - x).var()


def test_a_constant_feature_comes_back_constant():
    x = torch.randn(100, 3, dtype=torch.float64) * torch.tensor([1.0, 0.0, 2.0])
    made = LinearEstimator.fit([x])(x + 0.3 * torch.randn(100, 3), 0.3)
    torch.testing.assert_close(made[:, 1], torch.zeros(100), atol=1e-6, rtol=0)
    assert made.shape == (100, 3)


@pytest.mark.parametrize("std", [0.0, 0.05, 0.2, 0.8])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_level_of_noise_is_that_of_scikit_image(std, channels):
    """In edges and gradients, which are no noise."""
    restoration = pytest.importorskip("skimage.restoration")
    pytest.importorskip("pywt")
    row, column = torch.meshgrid(torch.arange(64.0), torch.arange(49.0), indexing="ij")
    clean = (0.5 * (row > 20) + 0.01 * column).expand(5, channels, 64, 49)
    noisy = clean + std * torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    assert noise_level(noisy) == pytest.approx(std, rel=0.1, abs=1e-6)
    theirs = restoration.estimate_sigma(noisy.flatten(0, 1).numpy(), channel_axis=0, average_sigmas=True)
    assert noise_level(noisy) == pytest.approx(theirs, rel=0.1, abs=0.01)


@pytest.mark.parametrize("size", [(1, 1), (3, 3), (1, 40)])
def test_an_image_of_few_pixels_has_no_level(size):
    assert noise_level(torch.rand(4, 1, *size)) is None
