"""The metrics against TorchMetrics, scikit-learn, SciPy and NumPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import ndimage, special
from sklearn.metrics import mean_absolute_error, mean_squared_error
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

from isthmus.core.metrics.latent import active_units
from isthmus.core.metrics.reconstruction import EPSILON, psnr, reconstruction_errors
from isthmus.core.metrics.ssim import ssim

IMAGES = [(1, 28, 28), (1, 8, 8), (3, 32, 32), (3, 17, 23), (1, 6, 31)]
TINY = [(1, 1, 1), (2, 1, 9), (1, 2, 3), (1, 5, 31)]  # smaller than the window's reach: reflected repeatedly
# Variances are differences of float32 numbers of order 1 (rounding 6e-8) over c_2 = 9e-4, which makes 7e-5
# at the worst pixel; the mean over pixels is below half of that.
BOTH_FLOAT32 = {"rtol": 0, "atol": 3e-5}


def pairs(shape):
    """Five pairs of correlated examples in [0, 1]."""
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(5, *shape, generator=generator)
    y = x + 0.2 * torch.randn(x.shape, generator=generator)
    return x, y.clamp(0, 1)


def ssim_by_scipy(x, y, data_range):
    """The definition, in float64, with SciPy's filter and its reflection ("mirror")."""
    offsets = np.arange(-5, 6)
    window = np.exp(-(offsets**2) / (2 * 1.5**2))
    window /= window.sum()

    def smooth(image):
        for axis in (2, 3):
            image = ndimage.correlate1d(image, window, axis=axis, mode="mirror")
        return image

    x, y = x.double().numpy(), y.double().numpy()
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    m_x, m_y = smooth(x), smooth(y)
    v_x, v_y, cov = smooth(x * x) - m_x**2, smooth(y * y) - m_y**2, smooth(x * y) - m_x * m_y
    map_ = (2 * m_x * m_y + c1) * (2 * cov + c2) / ((m_x**2 + m_y**2 + c1) * (v_x + v_y + c2))
    return map_.mean(axis=(1, 2, 3))


@pytest.mark.parametrize("data_range", [1.0, 2.0, 255.0])
@pytest.mark.parametrize("shape", IMAGES, ids=str)
def test_ssim_is_that_of_torchmetrics(shape, data_range):
    x, y = (data_range * image for image in pairs(shape))
    truth = structural_similarity_index_measure(x, y, data_range=data_range, reduction="none")
    torch.testing.assert_close(ssim(x, y, data_range=data_range), truth, **BOTH_FLOAT32)


@pytest.mark.parametrize("shape", IMAGES + TINY, ids=str)
def test_ssim_is_its_definition(shape):
    x, y = pairs(shape)
    np.testing.assert_allclose(ssim(x, y, data_range=1.0), ssim_by_scipy(x, y, 1.0), **BOTH_FLOAT32)


@pytest.mark.parametrize("shape", IMAGES + TINY, ids=str)
def test_ssim_of_equal_images_is_one(shape):
    x, _ = pairs(shape)
    for image in (x, torch.zeros_like(x), torch.ones_like(x)):
        torch.testing.assert_close(ssim(image, image, data_range=1.0), torch.ones(5), **BOTH_FLOAT32)


def test_ssim_is_symmetric_and_falls_with_the_noise():
    x, y = pairs((1, 28, 28))
    torch.testing.assert_close(ssim(x, y, data_range=1.0), ssim(y, x, data_range=1.0), **BOTH_FLOAT32)
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(1))
    similarities = torch.stack([ssim(x, x + s * noise, data_range=1.0) for s in (0.01, 0.1, 0.3, 1.0)])
    assert (similarities.diff(dim=0) < 0).all()
    assert (ssim(x, 1 - x, data_range=1.0) < 0).all()  # the negative: structure reversed


def test_ssim_of_no_images():
    assert ssim(torch.zeros(0, 1, 8, 8), torch.zeros(0, 1, 8, 8), data_range=1.0).shape == (0,)


def test_ssim_in_double_precision():
    x, y = (image.double() for image in pairs((1, 8, 8)))
    np.testing.assert_allclose(ssim(x, y, data_range=1.0), ssim_by_scipy(x, y, 1.0), rtol=0, atol=1e-13)


@pytest.mark.parametrize("data_range", [1.0, 255.0])
def test_psnr_is_that_of_torchmetrics(data_range):
    x, y = (data_range * image for image in pairs((1, 28, 28)))
    truth = peak_signal_noise_ratio(y, x, data_range=data_range)
    actual = psnr((y - x).square().mean(), data_range=data_range)
    torch.testing.assert_close(actual, truth, rtol=1e-6, atol=1e-5)  # decibels of order 10 in float32


def test_psnr_by_hand_and_at_its_ends():
    actual = psnr(torch.tensor([1.0, 0.01, 1e-4, 0.0]), data_range=1.0)
    assert actual.tolist() == pytest.approx([0, 20, 40, math.inf], abs=1e-5)


@pytest.mark.parametrize("shape", [(30,), (1, 28, 28), (3, 17, 23)], ids=str)
def test_errors_are_those_of_scikit_learn(shape):
    x, y = pairs(shape)
    errors = reconstruction_errors(y, x, value_range=(0.0, 1.0), probabilities=True)
    p = y.clamp(EPSILON, 1 - EPSILON).double().flatten(1).numpy()
    target, given = x.double().flatten(1).numpy(), y.double().flatten(1).numpy()
    truth = {
        "mse": mean_squared_error(target.T, given.T, multioutput="raw_values"),
        "mae": mean_absolute_error(target.T, given.T, multioutput="raw_values"),
        "bce": (-special.xlogy(target, p) - special.xlog1py(1 - target, -p)).mean(1),
    }
    for name, value in truth.items():
        assert errors[name].shape == (5,)
        np.testing.assert_allclose(errors[name], value, rtol=1e-5, err_msg=name)  # float32 against float64


def test_autocast_does_not_round_them():
    x, y = torch.rand(2, 4, 1, 12, 12).unbind()
    plain = reconstruction_errors(y, x, value_range=(0.0, 1.0), probabilities=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        under = reconstruction_errors(y, x, value_range=(0.0, 1.0), probabilities=True)
    for name, error in plain.items():
        assert under[name].dtype == torch.float32
        assert torch.equal(under[name], error), name


def test_images_are_clipped_to_their_range_for_the_ssim_alone():
    x, y = pairs((1, 28, 28))
    wild = y + 3 * (y - x)
    assert wild.min() < 0
    assert wild.max() > 1
    errors = reconstruction_errors(wild, x, value_range=(0.0, 1.0), probabilities=False)
    clipped = wild.clamp(0, 1)
    assert torch.equal(errors["ssim"], ssim(clipped, x, data_range=1.0))
    np.testing.assert_allclose(errors["mse"], (wild - x).square().flatten(1).mean(1), rtol=1e-6)


@pytest.mark.parametrize(("low", "high"), [(-1.0, 1.0), (0.0, 255.0), (0.0, 1.0)])
@pytest.mark.parametrize("shape", IMAGES, ids=str)
def test_ssim_takes_the_range_of_the_data(shape, low, high):
    x, y = (low + (high - low) * image for image in pairs(shape))
    errors = reconstruction_errors(y, x, value_range=(low, high), probabilities=False)
    np.testing.assert_allclose(errors["ssim"], ssim_by_scipy(x, y, high - low), **BOTH_FLOAT32)


@pytest.mark.parametrize(
    ("shape", "value_range", "probabilities", "names"),
    [
        ((30,), (-math.inf, math.inf), False, {"mse", "mae"}),
        ((30,), (0.0, 1.0), True, {"mse", "mae", "bce"}),
        ((30,), (0.0, 2.0), True, {"mse", "mae"}),
        ((1, 8, 8), (0.0, 1.0), False, {"mse", "mae", "ssim"}),
        ((1, 8, 8), (0.0, 1.0), True, {"mse", "mae", "bce", "ssim"}),
        ((1, 8, 8), (-math.inf, math.inf), False, {"mse", "mae"}),
    ],
)
def test_reports_what_the_data_allow(shape, value_range, probabilities, names):
    x, y = pairs(shape)
    errors = reconstruction_errors(y, x, value_range=value_range, probabilities=probabilities)
    assert set(errors) == names


def test_cross_entropy_is_finite_where_a_certain_reconstruction_is_wrong():
    errors = reconstruction_errors(
        torch.tensor([[0.0, 1.0]]), torch.tensor([[1.0, 0.0]]), value_range=(0.0, 1.0), probabilities=True
    )
    # 1 - 1e-7 rounds to 1 - 1.19e-7 in float32
    assert errors["bce"].item() == pytest.approx(-math.log(EPSILON), rel=0.02)


@pytest.mark.parametrize("count", [1, 2, 1000])
def test_active_units_are_those_of_numpy(count):
    generator = torch.Generator().manual_seed(0)
    scales = torch.tensor([0.0, 0.01, 0.09, 0.2, 1.0, 3.0], dtype=torch.float64)
    offsets = torch.tensor([5.0, -1.0, 0.0, 2.0, 0.0, -4.0], dtype=torch.float64)
    means = offsets + scales * torch.randn(count, 6, generator=generator, dtype=torch.float64)
    truth = int((np.var(means.numpy(), axis=0) > 0.01).sum())
    actual = active_units(means.sum(0), means.square().sum(0), torch.tensor(count))
    assert actual.item() == truth
    assert count < 1000 or truth == 3
