"""Latents: the reparameterisation against its moments, the prior, the point code."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats

from isthmus.common.errors import BadInput
from isthmus.core.latents.gaussian import LOG_VAR_RANGE, Gaussian
from isthmus.core.latents.plain import Plain

RARE = 1e-6  # seeded draws; bounds that a true sampler leaves once in a million


def draw(latent, h, seed=0):
    torch.manual_seed(seed)
    return latent(h)


def gaussian(mean, log_var):
    """A latent that gives this posterior whatever it is handed, so that only its sampling is seen."""
    latent = Gaussian(dim=len(mean), width=2)
    with torch.no_grad():
        latent.moments.weight.zero_()
        latent.moments.bias.copy_(torch.tensor([*mean, *log_var]))
    return latent


@pytest.mark.parametrize("latent", [Plain, Gaussian])
def test_shapes(latent):
    made, h = latent(dim=3, width=5), torch.randn(4, 5)
    assert made(h).z.shape == made.encode(h).z.shape == (4, 3)
    assert latent(dim=3, width=5)(torch.zeros(0, 5)).z.shape == (0, 3)


def test_plain_is_the_linear_map():
    latent, h = Plain(dim=3, width=5), torch.randn(4, 5)
    code = latent(h)
    truth = h.double() @ latent.code.weight.double().T + latent.code.bias.double()
    torch.testing.assert_close(code.z.double(), truth, rtol=1e-6, atol=1e-6)  # float32, five products
    assert code.posterior is None
    assert torch.equal(latent.encode(h).z, code.z)


def test_gaussian_moments_are_linear_maps():
    latent, h = Gaussian(dim=3, width=5), torch.randn(4, 5)
    mean, log_var = latent(h).posterior
    moments = h @ latent.moments.weight.T + latent.moments.bias
    torch.testing.assert_close(mean, moments[:, :3])
    torch.testing.assert_close(log_var, moments[:, 3:])


def test_samples_have_the_mean_and_variance_of_the_posterior():
    mean, log_var = np.array([0.0, -3.0, 10.0]), np.array([0.0, -4.0, 2.0])
    code = draw(gaussian(mean, log_var), torch.zeros(50_000, 2))
    z = code.z.detach().double().numpy()
    scale = np.exp(log_var / 2)
    for d in range(3):
        assert stats.kstest(z[:, d], stats.norm(mean[d], scale[d]).cdf).pvalue > RARE
        assert stats.ttest_1samp(z[:, d], mean[d]).pvalue > RARE
        low, high = np.array(stats.chi2.interval(1 - RARE, len(z) - 1)) / (len(z) - 1)
        assert low <= z[:, d].var(ddof=1) / scale[d] ** 2 <= high
    # Coordinates and examples are independent: correlations of N pairs have standard error 1 / sqrt(N).
    bound = stats.norm.isf(RARE) / math.sqrt(len(z))
    assert np.abs(np.corrcoef(z.T)[np.triu_indices(3, 1)]).max() < bound
    assert abs(np.corrcoef(z[:-1, 0], z[1:, 0])[0, 1]) < bound


def test_a_sample_is_the_mean_plus_scaled_chance():
    latent, h = Gaussian(dim=3, width=5), torch.randn(4, 5)
    code = draw(latent, h, 7)
    torch.manual_seed(7)
    epsilon = torch.randn(4, 3)
    mean, log_var = code.posterior
    torch.testing.assert_close(code.z, mean + log_var.exp().sqrt() * epsilon)


def test_gradients_reach_mean_and_variance_through_the_sample():
    latent = gaussian([1.0, 2.0], [0.5, -0.5])
    h = torch.zeros(1, 2)
    draw(latent, h, 7).z.sum().backward()
    torch.manual_seed(7)
    epsilon = torch.randn(1, 2)[0]
    scale = torch.exp(0.5 * torch.tensor([0.5, -0.5]))
    # dz/dmean = 1, dz/dlog_var = epsilon * scale / 2
    torch.testing.assert_close(latent.moments.bias.grad, torch.cat([torch.ones(2), epsilon * scale / 2]))


def test_encoding_gives_the_mean_and_draws_nothing():
    latent, h = Gaussian(dim=3, width=5), torch.randn(4, 5)
    before = torch.get_rng_state()
    code = latent.encode(h)
    assert torch.equal(torch.get_rng_state(), before)
    first, second = draw(latent, h, 1), draw(latent, h, 2)
    assert torch.equal(code.z, first.posterior.mean)
    assert all(torch.equal(*pair) for pair in zip(code.posterior, second.posterior, strict=True))
    assert not torch.equal(first.z, second.z)
    assert torch.equal(draw(latent, h, 1).z, first.z)


@pytest.mark.parametrize("wild", [1e4, -1e4])
def test_wild_log_variances_stay_finite(wild):
    latent = gaussian([0.0, 0.0], [wild, wild])
    code = latent(torch.zeros(3, 2))
    assert code.z.isfinite().all()
    assert code.posterior.log_var.unique().tolist() == [LOG_VAR_RANGE[wild > 0]]
    assert math.isfinite(torch.tensor(LOG_VAR_RANGE[1]).half().exp().item())


def test_says_whether_it_has_a_distribution():
    for latent in (Plain(dim=2, width=3), Gaussian(dim=2, width=3)):
        assert latent.probabilistic == (latent(torch.zeros(1, 3)).posterior is not None)


@pytest.mark.parametrize("latent", [Plain, Gaussian])
@pytest.mark.parametrize("dim", [0, -3, 2.5, True, "8", None])
def test_refuses_sizes_that_are_none(latent, dim):
    with pytest.raises(BadInput) as refusal:
        latent(dim=dim, width=5)
    assert refusal.value.key == "dim"
