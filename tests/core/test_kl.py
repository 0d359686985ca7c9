"""The KL divergence against torch.distributions, Monte Carlo and finite differences; free bits; warm-up."""

from __future__ import annotations

import math

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from isthmus.common.errors import BadInput
from isthmus.core.regularizers.kl import KL, kl_to_standard_normal
from isthmus.core.types import Code, DiagonalGaussian, ForwardResult

NOTHING = torch.empty(0)  # for the parts of a pass that a KL does not look at


def posterior(batch=6, dim=4, *, requires_grad=False):
    generator = torch.Generator().manual_seed(0)
    mean, log_var = torch.randn(2, batch, dim, generator=generator, dtype=torch.float64)
    return DiagonalGaussian(mean.requires_grad_(requires_grad), log_var.requires_grad_(requires_grad))


def passed(q):
    return ForwardResult(NOTHING, NOTHING, Code(q.mean, q), NOTHING)


def build(*, weight=1.0, warmup_epochs=0.0, free_bits=0.0):
    return KL(weight=weight, warmup_epochs=warmup_epochs, free_bits=free_bits)


def test_is_the_closed_form_of_torch():
    q = posterior()
    truth = kl_divergence(Normal(q.mean, torch.exp(q.log_var / 2)), Normal(0.0, 1.0))
    # The same polynomial in another order, in float64.
    torch.testing.assert_close(kl_to_standard_normal(q), truth, rtol=1e-13, atol=1e-13)
    torch.testing.assert_close(build().value(passed(q)), truth.sum(1), rtol=1e-13, atol=1e-13)


def test_is_what_sampling_finds():
    """KL = E_q[log q(z) - log p(z)]; the mean over N samples lies within 5 of its own standard errors."""
    q = posterior()
    distribution = Normal(q.mean, torch.exp(q.log_var / 2))
    count = 20_000
    epsilon = torch.randn(
        count, *q.mean.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64
    )
    z = q.mean + torch.exp(q.log_var / 2) * epsilon
    ratios = (distribution.log_prob(z) - Normal(0.0, 1.0).log_prob(z)).sum(2)
    standard_errors = ratios.std(0) / math.sqrt(count)
    assert ((ratios.mean(0) - build().value(passed(q))).abs() < 5 * standard_errors).all()


def test_is_zero_at_the_prior_and_flat_there():
    q = DiagonalGaussian(torch.zeros(2, 3, requires_grad=True), torch.zeros(2, 3, requires_grad=True))
    value = build().value(passed(q))
    value.sum().backward()
    assert value.tolist() == [0, 0]
    assert not q.mean.grad.any()
    assert not q.log_var.grad.any()


def test_keeps_its_digits_near_the_prior():
    """In float32, exp(log_var) - 1 alone would have none left."""
    log_var = torch.tensor([[1e-4, -3e-4, 1e-3]])
    kl = kl_to_standard_normal(DiagonalGaussian(torch.zeros(1, 3), log_var)).double()
    truth = 0.5 * (torch.expm1(log_var.double()) - log_var.double())
    torch.testing.assert_close(kl, truth, rtol=2e-3, atol=0)  # cancels to log_var^2 / 4 of 1e-7 * log_var


def test_gradient_is_the_derived_one():
    q = posterior(requires_grad=True)
    build().value(passed(q)).sum().backward()
    torch.testing.assert_close(q.mean.grad, q.mean.detach(), rtol=1e-14, atol=0)
    torch.testing.assert_close(q.log_var.grad, 0.5 * (q.log_var.detach().exp() - 1), rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize("log_var", [-20.0, 10.0])
def test_stays_finite_at_the_ends_of_what_a_latent_gives(log_var):
    q = DiagonalGaussian(torch.full((2, 3), 1e3), torch.full((2, 3), log_var))
    assert build().value(passed(q)).isfinite().all()


def with_divergences(*per_dimension):
    """Two examples whose KL, averaged over both, is `per_dimension` in each dimension: 0.5 mean^2 = KL."""
    wanted = torch.tensor(per_dimension, dtype=torch.float64)
    mean = (2 * torch.stack([wanted * 0.5, wanted * 1.5])).sqrt().requires_grad_()
    return DiagonalGaussian(mean, torch.zeros_like(mean))


def test_free_bits_floor_each_dimension_of_the_batch():
    q = with_divergences(0.1, 0.4, 3.0)
    regularizer = build(free_bits=0.5)
    # 0.5 + 0.5 + 3.0: the floor holds for each dimension, on the mean over the batch, not on each example
    assert regularizer.penalty(passed(q), regularizer.value(passed(q))).item() == pytest.approx(
        4.0, rel=1e-14
    )


def test_free_bits_leave_the_logged_value_alone():
    q = with_divergences(0.1, 0.4, 3.0)
    assert build(free_bits=0.5).value(passed(q)).mean().item() == pytest.approx(3.5, rel=1e-14)


def test_no_gradient_flows_below_the_floor():
    q = with_divergences(0.1, 3.0)
    regularizer = build(free_bits=0.5)
    regularizer.penalty(passed(q), regularizer.value(passed(q))).backward()
    assert not q.mean.grad[:, 0].any()
    # d(mean over 2 examples of mean^2 / 2) / d mean = mean / 2
    torch.testing.assert_close(q.mean.grad[:, 1], q.mean.detach()[:, 1] / 2, rtol=1e-14, atol=0)


def test_without_free_bits_the_penalty_is_the_value():
    result = passed(posterior())
    assert torch.equal(build().penalty(result, build().value(result)), build().value(result))


@pytest.mark.parametrize(
    ("warmup_epochs", "epoch", "fraction"),
    [
        (10, 0.0, 0.0),
        (10, 2.5, 0.25),
        (10, 10.0, 1.0),
        (10, 400.0, 1.0),
        (0.5, 0.125, 0.25),
        (0.5, 0.75, 1.0),
        (0, 0.0, 1.0),
        (0, 3.0, 1.0),
    ],
)
def test_the_weight_warms_up_linearly(warmup_epochs, epoch, fraction):
    regularizer = build(weight=4.0, warmup_epochs=warmup_epochs)
    assert regularizer.weight_at(torch.tensor(epoch)).item() == 4 * fraction  # exact in binary


@pytest.mark.parametrize("warmup_epochs", [0, 10])
def test_evaluation_has_the_full_weight(warmup_epochs):
    assert build(weight=4.0, warmup_epochs=warmup_epochs).weight_at(None).item() == 4


def test_asking_for_the_weight_does_not_advance_it():
    regularizer = build(warmup_epochs=4)
    for _ in range(3):
        regularizer.weight_at(None)
        assert regularizer.weight_at(torch.tensor(1.0)).item() == 0.25


@pytest.mark.parametrize("key", ["weight", "warmup_epochs", "free_bits"])
@pytest.mark.parametrize("value", [-0.1, math.nan, math.inf, "1", True])
def test_refuses(key, value):
    with pytest.raises(BadInput) as refusal:
        build(**{key: value})
    assert refusal.value.key == key


def test_needs_a_distribution():
    build().check(probabilistic=True)
    with pytest.raises(BadInput, match="latent=gaussian"):
        build().check(probabilistic=False)
