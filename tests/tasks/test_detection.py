"""Anomaly scores, thresholds that keep their rate of false alarms, and what caused a score."""

from __future__ import annotations

import math
from copy import deepcopy

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import binom
from sklearn.covariance import EmpiricalCovariance
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.metrics import roc_auc_score

import isthmus
from isthmus.common.errors import BadInput
from isthmus.core.detection.detector import SCORES, threshold
from isthmus.core.detection.residuals import Residuals
from isthmus.runs.config.compose import compose
from isthmus.runs.packed.calibration import fit_residuals
from isthmus.runs.train import train
from isthmus.tasks.detection import alarm_interval, rate_interval

from .conftest import KINDS, SHORT


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("score", SCORES)
def test_every_score_of_every_model_is_finite_and_has_a_threshold(kind, score, run_of, model_of):
    from .test_trained_model import given

    model, x = model_of(kind), given(kind, run_of(kind))
    scores = model.score(x, score=score)
    assert np.isfinite(scores).all()
    found = model.detect(x, score=score, false_alarm_rate=0.2)
    np.testing.assert_array_equal(found.score, scores)
    np.testing.assert_array_equal(found.outlier, scores > found.threshold)
    assert 0 < found.outlier.mean() < 0.6
    assert ((found.p_value > 0) & (found.p_value <= 1)).all()


def test_the_residual_score_is_the_mahalanobis_distance_of_scikit_learn():
    generator = np.random.default_rng(0)
    residuals = generator.normal(size=(20_000, 4)) @ generator.normal(size=(4, 4))
    ours = fit_residuals(torch.from_numpy(residuals), torch.from_numpy(residuals), (4,))
    y = ours.standardised(torch.from_numpy(residuals).float())
    variance = residuals.var(0)
    np.testing.assert_allclose(y.numpy().std(0), (1 + variance.mean() / variance) ** -0.5, rtol=1e-3)
    bent = 2 * np.arcsinh(y.numpy() / 2)
    theirs = EmpiricalCovariance(assume_centered=True).fit(bent)
    np.testing.assert_allclose(ours.distance(y), theirs.mahalanobis(bent), rtol=0.02, atol=0.02)


def test_a_threshold_keeps_its_rate_on_new_normal_scores():
    """Averaged over many held-out sets, at most the asked share of new normal examples is above it."""
    generator = torch.Generator().manual_seed(0)
    for count, rate in ((19, 0.05), (100, 0.1), (500, 0.01)):
        draws = torch.randn(4000, count, generator=generator).sort(1).values
        limits = torch.tensor([threshold(draw, rate) for draw in draws])
        alarms = (1 - torch.distributions.Normal(0.0, 1.0).cdf(limits)).mean().item()
        assert rate - 1.5 / (count + 1) < alarms < rate * 1.05


@pytest.mark.parametrize(("count", "rate"), [(32, 1 / 33), (100, 0.05), (1000, 0.01)])
def test_the_rate_of_a_threshold_is_in_its_interval(count, rate):
    draws = torch.rand(4000, count, generator=torch.Generator().manual_seed(1)).sort(1).values
    rates = np.array([1 - threshold(draw, rate) for draw in draws])
    low, high = rate_interval(count, rate)
    assert np.quantile(rates, 0.025) == pytest.approx(low, rel=0.3, abs=5e-4)
    assert np.quantile(rates, 0.975) == pytest.approx(high, rel=0.1)


@pytest.mark.parametrize(("count", "rate", "rows"), [(79, 1 / 80, 72), (100, 0.1, 500), (1000, 0.01, 50)])
def test_the_number_of_false_alarms_is_in_its_interval(count, rate, rows):
    """95% of pairs of a validation set and new rows; the binomial interval of the rate asked is narrower."""
    generator = np.random.default_rng(0)
    held_out = np.sort(generator.random((20_000, count)), 1)
    limits = held_out[:, math.ceil((count + 1) * (1 - rate) - 1e-9) - 1]
    alarms = generator.binomial(rows, 1 - limits)
    low, high = alarm_interval(count, rate, rows)
    assert (alarms < low).mean() <= 0.03
    assert (alarms <= high).mean() >= 0.97
    assert (alarms <= high - 1).mean() <= 0.98


@pytest.fixture(scope="module")
def normal_model(tmp_path_factory):
    """A model of 6,000 rows of a normal distribution on a plane in 8 dimensions, and 20,000 new ones."""
    generator = np.random.default_rng(0)
    weights = generator.normal(size=(2, 8))
    rows = generator.normal(size=(26_000, 2)) @ weights + 0.1 * generator.normal(size=(26_000, 8))
    place = tmp_path_factory.mktemp("normal")
    np.save(place / "rows.npy", rows[:6000])
    overrides = ["data=arrays", f"data.path={place / 'rows.npy'}", "data.scaling=standardize", "latent.dim=2"]
    train(compose([*SHORT, *overrides, "data.val_size=2000", "trainer.max_epochs=30"]), place / "run")
    return isthmus.load(place / "run", device="cpu"), rows[6000:]


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("rate", [0.01, 0.05, 0.2])
def test_false_alarms_are_as_frequent_as_asked_for(score, rate, normal_model):
    """Within the binomial interval of 99.9% of the 2,000 held-out rows that set the threshold."""
    model, new = normal_model
    alarms = model.detect(new, score=score, false_alarm_rate=rate).outlier.mean()
    low, high = binom.interval(0.999, 2000, rate)
    assert low / 2000 <= alarms <= high / 2000


@pytest.mark.parametrize("score", ["combined", "residual"])
def test_what_breaks_the_pattern_is_an_anomaly(score, normal_model):
    model, new = normal_model
    odd = new[:2000].copy()
    strongest = new.std(0).argmax()  # in the others, noise hides more of the pattern
    odd[:, strongest] = new[2000:4000, strongest]
    labels = np.r_[np.zeros(2000), np.ones(2000)]
    assert roc_auc_score(labels, model.score(np.r_[new[4000:6000], odd], score=score)) > 0.9
    far = 4 * new[:2000]
    assert roc_auc_score(labels, model.score(np.r_[new[4000:6000], far], score="combined")) > 0.8


def test_the_feature_that_was_changed_explains_the_score(normal_model):
    model, new = normal_model
    odd = new[:500].copy()
    odd[:, 5] += 5
    shares = model.explain(odd)
    np.testing.assert_allclose(shares.sum(1), 1, atol=1e-4)
    assert (shares.argmax(1) == 5).mean() > 0.8


def test_shares_are_those_of_columns_and_of_pixels(run_of, model_of):
    visits = pd.read_csv(run_of("visits").parent / "visits.csv")
    assert model_of("visits").explain(visits).shape == (300, len(model_of("visits").columns))
    digits = load_digits().images.astype(np.uint8)[:5]
    assert model_of("digits").explain(digits).shape == (5, 1, 8, 8)


def test_a_rate_that_the_validation_rows_cannot_keep_is_refused(model_of):
    model, x = model_of("cancer"), load_breast_cancer().data[:5]
    with pytest.raises(BadInput, match=r"is too small for 57 validation rows, which allow rates from 0.017"):
        model.detect(x, false_alarm_rate=0.001)
    assert model.detect(x).false_alarm_rate == pytest.approx(0.0173)
    for rate in (0, 1, -1, 2, "a", True):
        with pytest.raises(BadInput, match="false_alarm_rate"):
            model.detect(x, false_alarm_rate=rate)
    with pytest.raises(BadInput, match="must be one of combined, mse"):
        model.score(x, score="nonsense")


def test_a_run_without_validation_rows_scores_and_says_that_it_has_no_threshold(tmp_path):
    train(compose([*SHORT, "data.val_size=0"]), tmp_path / "run")
    model = isthmus.load(tmp_path / "run", device="cpu")
    digits = load_digits().images.astype(np.uint8)[:5]
    assert np.isfinite(model.score(digits)).all()
    with pytest.raises(BadInput, match="had no validation rows"):
        model.detect(digits)


def test_the_distance_of_residuals_is_that_of_float64():
    """Large residuals in the directions of normal ones do not hide the small ones in all others."""
    torch.manual_seed(0)
    basis = torch.linalg.qr(torch.randn(100, 100))[0]
    variances = torch.tensor([1e6] * 4 + [1e-4] * 96)
    residuals = Residuals(
        (100,),
        sigma=torch.tensor(0.0),
        mean=torch.zeros(100),
        std=torch.ones(100),
        whitening=basis / variances.sqrt(),
        bend=torch.tensor(0.0),
    )
    y = torch.randn(50, 100) * variances.sqrt() @ basis.T
    exact = deepcopy(residuals).double().distance(y.double())
    np.testing.assert_allclose(residuals.distance(y), exact, rtol=2e-3)
