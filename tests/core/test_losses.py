"""Every loss against its formula in NumPy and SciPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import special, stats

from isthmus.common.errors import BadInput
from isthmus.core.losses.bce import BCE
from isthmus.core.losses.gaussian import Gaussian
from isthmus.core.losses.huber import Huber
from isthmus.core.losses.l1 import L1
from isthmus.core.losses.mixed import Mixed
from isthmus.core.losses.mse import MSE
from isthmus.core.types import FeatureSpan

# Everything is compared in float64, where both sides round at 1e-16; a thousand roundings are allowed.
# The Gaussian loss keeps log s^2 in float32, whose rounding (6e-8, relative) is then what limits it.
EXACT = {"rtol": 1e-13, "atol": 1e-13}
FLOAT32_VARIANCE = {"rtol": 1e-6, "atol": 1e-6}

ACTIVATIONS = {"identity": lambda raw: raw, "sigmoid": special.expit, "tanh": np.tanh}


def huber(delta):
    return lambda mean, x: special.huber(delta, x - mean)


def normal(variance):
    return lambda mean, x: -stats.norm.logpdf(x, loc=mean, scale=math.sqrt(variance))


# name: (class, its own arguments, formula of one feature from the reconstruction and x, tolerance)
WITH_ACTIVATION = {
    "mse": (MSE, {}, lambda mean, x: (x - mean) ** 2, EXACT),
    "l1": (L1, {}, lambda mean, x: np.abs(x - mean), EXACT),
    "huber-0.3": (Huber, {"delta": 0.3}, huber(0.3), EXACT),
    "huber-2": (Huber, {"delta": 2.0}, huber(2.0), EXACT),
    "gaussian-0.5": (Gaussian, {"variance": 0.5}, normal(0.5), FLOAT32_VARIANCE),
    "gaussian-0.01": (Gaussian, {"variance": 0.01}, normal(0.01), FLOAT32_VARIANCE),
    "gaussian-learned": (Gaussian, {"variance": "learned"}, normal(1.0), EXACT),
}


def draw(*shape, seed=0):
    return 2 * torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("shape", [(4, 7), (3, 2, 5, 3)], ids=["table", "image"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("reduction", ["sum", "mean"])
@pytest.mark.parametrize("name", WITH_ACTIVATION)
def test_is_its_formula(name, reduction, activation, shape):
    kind, arguments, formula, tolerance = WITH_ACTIVATION[name]
    loss = kind(**arguments, reduction=reduction, output_activation=activation)
    raw, x = draw(*shape), draw(*shape, seed=1)

    features = formula(ACTIVATIONS[activation](raw.numpy()), x.numpy())
    truth = getattr(features.reshape(shape[0], -1), reduction)(axis=1)

    actual = loss(raw, x)
    assert actual.shape == shape[:1]
    np.testing.assert_allclose(actual.detach(), truth, **tolerance)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_reconstruction_is_the_activated_output(activation):
    raw = draw(3, 4)
    actual = MSE(reduction="sum", output_activation=activation).reconstruction(raw)
    np.testing.assert_allclose(actual, ACTIVATIONS[activation](raw.numpy()), **EXACT)


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_bce_is_the_cross_entropy_of_the_sigmoid(reduction):
    raw, x = draw(5, 3, 4), torch.rand(5, 3, 4, dtype=torch.float64)
    p, target = special.expit(raw.numpy()), x.numpy()
    features = -special.xlogy(target, p) - special.xlog1py(1 - target, -p)
    loss = BCE(reduction=reduction)

    np.testing.assert_allclose(loss(raw, x), getattr(features.reshape(5, -1), reduction)(axis=1), **EXACT)
    by_torch = F.binary_cross_entropy(loss.reconstruction(raw), x, reduction="none").flatten(1)
    np.testing.assert_allclose(loss(raw, x), getattr(by_torch, reduction)(1), **EXACT)


def test_bce_of_a_perfect_reconstruction_is_the_entropy():
    x = torch.linspace(0.01, 0.99, 25, dtype=torch.float64)[None]
    entropy = stats.bernoulli.entropy(x.numpy()).sum()
    logits = torch.logit(x).requires_grad_()
    loss = BCE(reduction="sum")(logits, x)
    loss.sum().backward()

    np.testing.assert_allclose(loss.item(), entropy, **EXACT)
    np.testing.assert_allclose(logits.grad, 0, atol=1e-15)  # the entropy is the smallest value there is


@pytest.mark.parametrize("logit", [50.0, 1e4, 1e30])
def test_bce_survives_extreme_logits(logit):
    raw = torch.tensor([[logit, -logit, logit, -logit]], requires_grad=True)
    x = torch.tensor([[1.0, 0.0, 0.0, 1.0]])
    loss = BCE(reduction="sum")(raw, x)
    loss.sum().backward()

    assert loss.item() == pytest.approx(2 * logit, rel=1e-6)  # float32; right answers cost nothing
    assert raw.grad[0].tolist() == pytest.approx([0, 0, 1, -1], abs=1e-12)


@pytest.mark.parametrize("name", WITH_ACTIVATION)
def test_gradient_is_that_of_finite_differences(name):
    kind, arguments, _, _ = WITH_ACTIVATION[name]
    loss = kind(**arguments, reduction="sum", output_activation="tanh").double()
    x = draw(2, 3, seed=1)
    assert torch.autograd.gradcheck(lambda raw: loss(raw, x), draw(2, 3).requires_grad_())


def test_the_target_gets_no_activation():
    loss = MSE(reduction="sum", output_activation="sigmoid")
    assert loss(torch.zeros(1, 2), torch.full((1, 2), 0.5)).item() == 0


def test_gaussian_of_variance_one_half_is_the_squared_error_and_a_constant():
    raw, x = draw(6, 5), draw(6, 5, seed=1)
    gaussian = Gaussian(variance=0.5, reduction="sum", output_activation="identity")(raw, x)
    squared = MSE(reduction="sum")(raw, x)
    constant = 5 * 0.5 * math.log(math.pi)
    np.testing.assert_allclose(gaussian, squared + constant, **FLOAT32_VARIANCE)


def test_learned_variance_is_at_its_best_at_the_mean_squared_error():
    """Rybkin et al. 2020, equation 5: the maximum-likelihood variance is the mean squared error."""
    raw, x = draw(50, 4), draw(50, 4, seed=1)
    loss = Gaussian(variance="learned", reduction="sum", output_activation="identity").double()
    assert [name for name, _ in loss.named_parameters()] == ["log_variance"]
    with torch.no_grad():
        loss.log_variance.copy_((raw - x).square().mean().log())
    loss(raw, x).mean().backward()

    assert loss.log_variance.grad.item() == pytest.approx(0, abs=1e-13)
    np.testing.assert_allclose(
        loss(raw, x).detach(), normal(((raw - x) ** 2).mean().item())(raw.numpy(), x.numpy()).sum(1), **EXACT
    )


def test_fixed_variance_is_neither_trained_nor_saved():
    loss = Gaussian(variance=0.1, reduction="sum", output_activation="identity")
    assert not list(loss.parameters())
    assert not loss.state_dict()


@pytest.mark.parametrize("name", WITH_ACTIVATION)
def test_no_examples_give_no_losses(name):
    kind, arguments, _, _ = WITH_ACTIVATION[name]
    loss = kind(**arguments, reduction="sum", output_activation="identity")
    assert loss(torch.zeros(0, 3, 4), torch.zeros(0, 3, 4)).shape == (0,)


INFINITE = (-math.inf, math.inf)
RANGES = [(0.0, 1.0), (0.25, 0.5), (-1.0, 1.0), (0.0, 1.001), (-0.001, 1.0), (0.0, 255.0), INFINITE]
REACH = {"identity": INFINITE, "sigmoid": (0, 1), "tanh": (-1, 1), "bce": (0, 1)}


@pytest.mark.parametrize("value_range", RANGES, ids=str)
@pytest.mark.parametrize("name", REACH)
def test_refuses_data_out_of_reach(name, value_range):
    loss = BCE(reduction="sum") if name == "bce" else MSE(reduction="sum", output_activation=name)
    low, high = REACH[name]
    if low <= value_range[0] and value_range[1] <= high:
        loss.check(value_range)
    else:
        with pytest.raises(BadInput, match=r"the data (lie in|are not bounded).*use loss") as refusal:
            loss.check(value_range)
        key = "loss" if name == "bce" else "loss.output_activation"
        assert str(refusal.value.under("loss")).startswith(f"{key}={name}: ")


@pytest.mark.parametrize(
    ("key", "build"),
    [
        ("reduction", lambda: MSE(reduction="none")),
        ("reduction", lambda: BCE(reduction="batchmean")),
        ("output_activation", lambda: L1(reduction="sum", output_activation="relu")),
        *[
            ("delta", lambda d=d: Huber(delta=d, reduction="sum", output_activation="identity"))
            for d in (0, -1)
        ],
        *[
            ("variance", lambda v=v: Gaussian(variance=v, reduction="sum", output_activation="identity"))
            for v in (0.0, -1.0, math.nan, math.inf, "fixed", None)
        ],
    ],
)
def test_constructors_refuse(key, build):
    with pytest.raises(BadInput) as refusal:
        build()
    assert refusal.value.key == key


def test_mixed_is_each_columns_own_loss():
    """Against PyTorch's own losses: numbers, a category of three values, true/false."""
    loss = Mixed(reduction="sum")
    loss.set_spans([FeatureSpan(1, 4, "category"), FeatureSpan(5, 6, "boolean")])
    raw = torch.randn(8, 7)
    classes, truths = torch.randint(0, 3, (8,)), torch.rand(8).round()
    x = torch.randn(8, 7)
    x[:, 1:4], x[:, 5] = F.one_hot(classes, 3).float(), truths
    numbers = [0, 4, 6]
    expected = (
        (raw - x)[:, numbers].square().sum(1)
        + F.cross_entropy(raw[:, 1:4], classes, reduction="none")
        + F.binary_cross_entropy_with_logits(raw[:, 5], truths, reduction="none")
    )
    torch.testing.assert_close(loss(raw, x), expected)
    made = loss.reconstruction(raw)
    torch.testing.assert_close(made[:, 1:4].sum(1), torch.ones(8))
    torch.testing.assert_close(made[:, 5], raw[:, 5].sigmoid())
    torch.testing.assert_close(made[:, numbers], raw[:, numbers])
    x[:, 1:4] = 0  # a category that is missing, or was not in training, has no loss
    torch.testing.assert_close(
        loss(raw, x), expected - F.cross_entropy(raw[:, 1:4], classes, reduction="none")
    )


def test_mixed_without_spans_is_the_squared_error():
    raw, x = torch.randn(2, 5, 3)
    torch.testing.assert_close(Mixed(reduction="mean")(raw, x), (raw - x).square().mean(1))
