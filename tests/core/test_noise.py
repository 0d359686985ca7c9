"""Each noise against the statistics it declares."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats

from isthmus.common.errors import BadInput
from isthmus.core.noise.gaussian import Gaussian
from isthmus.core.noise.masking import Masking
from isthmus.core.noise.none import NoNoise
from isthmus.core.noise.salt_and_pepper import SaltAndPepper

SHAPE = (40, 3, 20, 20)
COUNT = math.prod(SHAPE)
# The draws are seeded, so a test passes always or never; bounds that a true sampler leaves once in a million.
RARE = 1e-6

NOISES = {
    "none": NoNoise,
    "gaussian": lambda: Gaussian(std=0.3),
    "masking": lambda: Masking(p=0.3),
    "salt_and_pepper": lambda: SaltAndPepper(p=0.3),
}
CHANCE = [name for name in NOISES if name != "none"]


def draw_x(shape=SHAPE):
    """Values strictly between 0 and 1, so that a masked, salted or peppered one shows."""
    return torch.rand(shape, generator=torch.Generator().manual_seed(123)) * 0.8 + 0.1


def corrupt(noise, x, seed=0):
    torch.manual_seed(seed)
    return noise(x)


def assert_binomial(hits, p):
    low, high = stats.binom.interval(1 - RARE, COUNT, p)
    assert low <= hits <= high


@pytest.mark.parametrize("std", [0.05, 0.3, 2.0])
def test_gaussian_has_its_mean_and_standard_deviation(std):
    x = draw_x()
    added = (corrupt(Gaussian(std=std), x) - x).double().flatten().numpy()
    assert stats.ttest_1samp(added, 0).pvalue > RARE
    low, high = std * np.sqrt(stats.chi2.interval(1 - RARE, COUNT - 1) / np.float64(COUNT - 1))
    assert low <= added.std(ddof=1) <= high
    assert stats.kstest(added, stats.norm(scale=std).cdf).pvalue > RARE


@pytest.mark.parametrize("p", [0.01, 0.3, 0.9])
def test_masking_hides_its_share_and_keeps_the_rest(p):
    x = draw_x()
    noisy = corrupt(Masking(p=p), x)
    masked = noisy == 0
    assert_binomial(masked.sum().item(), p)
    assert torch.equal(noisy[~masked], x[~masked])


@pytest.mark.parametrize("value_range", [(0.0, 1.0), (-1.0, 3.0)])
@pytest.mark.parametrize("p", [0.01, 0.3, 0.9])
def test_salt_and_pepper_are_equal_shares_at_the_ends_of_the_range(p, value_range):
    x = draw_x()
    noise = SaltAndPepper(p=p)
    noise.prepare(value_range)
    noisy = corrupt(noise, x)
    pepper, salt = noisy == value_range[0], noisy == value_range[1]
    assert_binomial(pepper.sum().item(), p / 2)
    assert_binomial(salt.sum().item(), p / 2)
    kept = ~(pepper | salt)
    assert torch.equal(noisy[kept], x[kept])


@pytest.mark.parametrize("name", ["masking", "salt_and_pepper"])
def test_each_feature_is_struck_alone(name):
    """Not whole channels or examples: the count per example is as binomial as its features allow."""
    x = draw_x()
    struck = (corrupt(NOISES[name](), x) != x).flatten(1).sum(1).double()
    features = math.prod(SHAPE[1:])
    statistic = ((struck - 0.3 * features) ** 2 / (features * 0.3 * 0.7)).sum().item()
    low, high = stats.chi2.interval(1 - RARE, SHAPE[0])
    assert low <= statistic <= high


@pytest.mark.parametrize("name", NOISES)
def test_leaves_its_input_shape_and_dtype_alone(name):
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        x = draw_x((5, 7)).to(dtype)
        before = x.clone()
        noisy = corrupt(NOISES[name](), x)
        assert torch.equal(x, before)
        assert (noisy.shape, noisy.dtype) == (x.shape, dtype)


@pytest.mark.parametrize("name", NOISES)
def test_needs_no_examples(name):
    assert corrupt(NOISES[name](), torch.zeros(0, 3, 4)).shape == (0, 3, 4)


@pytest.mark.parametrize("name", CHANCE)
def test_random_numbers_come_from_the_default_generator(name):
    x, noise = draw_x((4, 50)), NOISES[name]()
    first = corrupt(noise, x, 5)
    assert not torch.equal(noise(x), first)
    assert torch.equal(corrupt(noise, x, 5), first)
    assert not torch.equal(corrupt(noise, x, 6), first)


@pytest.mark.parametrize("noise", [NoNoise(), Gaussian(std=0), Masking(p=0), SaltAndPepper(p=0)], ids=NOISES)
def test_no_strength_is_the_identity(noise):
    x = draw_x() * 2 - 1
    assert torch.equal(corrupt(noise, x), x)


def test_full_strength_strikes_everything():
    x = draw_x()
    assert not corrupt(Masking(p=1), x).any()
    assert set(corrupt(SaltAndPepper(p=1), x).unique().tolist()) == {0.0, 1.0}


@pytest.mark.parametrize("value_range", [(-math.inf, math.inf), (0.0, math.inf), (-math.inf, 0.0)])
def test_salt_and_pepper_refuse_unbounded_data(value_range):
    with pytest.raises(BadInput, match=r"noise=gaussian or noise=masking"):
        SaltAndPepper(p=0.1).prepare(value_range)


@pytest.mark.parametrize("name", ["none", "gaussian", "masking"])
def test_the_others_take_data_in_any_range(name):
    NOISES[name]().prepare((-math.inf, math.inf))


@pytest.mark.parametrize("value", [-0.1, math.nan, math.inf, "0.3", None, True])
@pytest.mark.parametrize(
    ("key", "build"),
    [
        ("std", lambda value: Gaussian(std=value)),
        ("p", lambda value: Masking(p=value)),
        ("p", lambda value: SaltAndPepper(p=value)),
    ],
    ids=CHANCE,
)
def test_refuses(key, build, value):
    with pytest.raises(BadInput) as refusal:
        build(value)
    assert refusal.value.key == key


@pytest.mark.parametrize("kind", [Masking, SaltAndPepper])
def test_probabilities_end_at_one(kind):
    with pytest.raises(BadInput, match="at most 1"):
        kind(p=1.01)
