"""The scikit-learn estimator: scikit-learn's own checks, and laws of what it returns."""

from __future__ import annotations

import pickle

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_digits, make_low_rank_matrix
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import QuantileTransformer, StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import isthmus
from isthmus.common.errors import BadInput, TrainingDiverged
from isthmus.runs import in_memory
from isthmus.runs.config.compose import compose
from isthmus.runs.in_memory import split_in_memory, train_in_memory
from isthmus.runs.train import train

QUICK = {"max_steps": 50, "hidden": (16,)}
CANCER = load_breast_cancer(as_frame=True)
X = CANCER.data.to_numpy()


@parametrize_with_checks([isthmus.Autoencoder(**QUICK)])
def test_scikit_learns_checks(estimator, check):
    check(estimator)


def test_the_weights_are_those_of_a_run(tmp_path):
    """The loop without Lightning makes the steps of `isthmus train`, and picks the same weights."""
    x = np.random.default_rng(0).normal(size=(1000, 6)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    keys = [
        *("data=arrays", f"data.path={tmp_path / 'x.npy'}", "data.test_size=0", "data.val_size=200"),
        *(
            "data.batch_size=32",
            "model=vae",
            "loss=mse",
            "latent.dim=3",
            "noise=gaussian",
            "scheduler=cosine",
            "seed=5",
        ),
        *("trainer.max_steps=600", "trainer.max_epochs=-1", "trainer.accelerator=cpu", "logger=csv"),
        *("regularizer.kl.warmup_epochs=3", "trainer.progress_bar=none"),
    ]
    cfg = compose(keys)
    threads = torch.get_num_threads()
    run = train(cfg, tmp_path / "run")
    torch.set_num_threads(threads)
    split = split_in_memory(len(x), 200, seed=0)
    file, history = train_in_memory(cfg, x, split, bounded=False, device=torch.device("cpu"))
    best = torch.load(run.checkpoint("best"), weights_only=True)["state_dict"]
    assert history.steps[history.best] == run.read_json(run.results)["step"]
    for name, weight in file.named("autoencoder.").items():
        assert torch.equal(weight, best[f"autoencoder.{name}"].double())


@pytest.mark.parametrize("state", [3, lambda: np.random.RandomState(3)])
def test_it_is_reproducible_to_the_bit(state):
    make = state if callable(state) else lambda: state
    results, before = [], torch.get_rng_state()
    for _ in range(2):
        fitted = isthmus.Autoencoder(**QUICK, noise="gaussian", random_state=make()).fit(X)
        results.append([fitted.transform(X), fitted.score_samples(X), fitted.sample(3, random_state=make())])
        assert torch.equal(torch.get_rng_state(), before)
        np.random.rand(1)
    for first, second in zip(*results, strict=True):
        assert np.array_equal(first, second)
    other = isthmus.Autoencoder(**QUICK, random_state=4).fit(X)
    assert not np.array_equal(other.transform(X), results[0][0])


def test_none_takes_numpys_random_numbers():
    def codes(seed):
        np.random.seed(seed)
        return isthmus.Autoencoder(**QUICK).fit(X).transform(X)

    assert np.array_equal(codes(0), codes(0))
    assert not np.array_equal(codes(0), codes(1))


@pytest.mark.parametrize("copied", [lambda e: pickle.loads(pickle.dumps(e)), None])
def test_copies_compute_the_same(copied, tmp_path):
    fitted = isthmus.Autoencoder(**QUICK, random_state=0).fit(X)
    if copied is None:
        joblib.dump(fitted, tmp_path / "model.joblib")
        other = joblib.load(tmp_path / "model.joblib")
    else:
        other = copied(fitted)
    assert np.array_equal(other.score_samples(X), fitted.score_samples(X))
    assert np.array_equal(other.sample(2, random_state=0), fitted.sample(2, random_state=0))
    again = clone(other).fit(X)
    assert np.array_equal(again.transform(X), fitted.transform(X))


def test_in_a_pipeline_and_a_grid_search():
    estimator = isthmus.Autoencoder(max_steps=300, lr=1e-2, random_state=0)
    pipeline = make_pipeline(QuantileTransformer(n_quantiles=50), estimator)
    search = GridSearchCV(pipeline, {"autoencoder__latent_dim": [1, 8]}, cv=2).fit(X)
    assert search.best_params_ == {"autoencoder__latent_dim": 8}
    assert search.best_score_ == max(search.cv_results_["mean_test_score"])
    assert set(search.predict(X)) <= {-1, 1}


def test_frames_have_names():
    fitted = isthmus.Autoencoder(**QUICK, latent_dim=2, random_state=0).set_output(transform="pandas")
    codes = fitted.fit_transform(CANCER.data)
    assert list(codes.columns) == ["autoencoder0", "autoencoder1"] == list(fitted.get_feature_names_out())
    pd.testing.assert_index_equal(codes.index, CANCER.data.index)
    assert list(fitted.feature_names_in_) == list(CANCER.data.columns)
    with pytest.raises(ValueError, match="feature names"):
        fitted.transform(CANCER.data.rename(columns={"mean radius": "<b>"}))


def test_a_linear_one_is_pca():
    """Baldi and Hornik 1989: the minimum of a linear autoencoder spans the principal components."""
    x = make_low_rank_matrix(2000, 10, effective_rank=3, random_state=0)
    fitted = isthmus.Autoencoder(
        3, lr=1e-2, random_state=0, overrides=["architecture=linear", "scheduler=cosine"]
    ).fit(x)
    scaled = StandardScaler().fit_transform(x)
    pca = PCA(3).fit(scaled)
    best = 1 - np.square(scaled - pca.inverse_transform(pca.transform(scaled))).mean()
    assert fitted.score(x) == pytest.approx(best, abs=5e-3)


@pytest.mark.parametrize("loss", ["mse", "l1", "huber", "gaussian", "bce"])
@pytest.mark.parametrize("noise", [None, "gaussian", "masking", "salt_and_pepper"])
def test_every_loss_and_noise(loss, noise):
    if noise == "salt_and_pepper" and loss != "bce":
        with pytest.raises(BadInput, match="noise"):
            isthmus.Autoencoder(**QUICK, loss=loss, noise=noise).fit(X)
        return
    fitted = isthmus.Autoencoder(loss=loss, noise=noise, max_steps=300, lr=1e-2, random_state=0).fit(X)
    made = fitted.reconstruct(X)
    assert made.shape == X.shape
    assert np.allclose(made, fitted.inverse_transform(fitted.transform(X)), rtol=1e-4, atol=1e-4 * X.std(0))
    assert fitted.score(X) > 0.1
    assert fitted.validation_losses_[-1] < fitted.validation_losses_[0]


def test_codes_do_not_depend_on_offset_and_unit():
    def codes(x):
        return isthmus.Autoencoder(**QUICK, random_state=0).fit(x).transform(x)

    assert np.allclose(codes(X), codes(X * 1e3 + 1e9), atol=1e-3)


@pytest.mark.parametrize("rate", [0.05, 0.2])
def test_the_rate_of_false_alarms(rate):
    """On new normal rows; the bounds are five standard deviations of the threshold and of the count."""
    draw = np.random.default_rng(0)
    x, new = (draw.normal(size=(rows, 4)) for rows in (2000, 4000))
    fitted = isthmus.Autoencoder(**QUICK, random_state=0, validation_fraction=0.5, false_alarm_rate=rate).fit(
        x
    )
    flagged = (fitted.predict(new) == -1).mean()
    assert abs(flagged - rate) < 5 * np.sqrt(rate * (1 - rate) * (1 / 1000 + 1 / 4000))
    assert fitted.false_alarm_rate_ == rate
    assert np.array_equal(fitted.decision_function(new), fitted.score_samples(new) - fitted.offset_)


def test_it_finds_outliers():
    digits, y = load_digits(return_X_y=True)
    fitted = isthmus.Autoencoder(max_steps=1000, random_state=0).fit(digits[y == 1][::2])
    scores = -fitted.score_samples(digits)
    others = np.concatenate([scores[y == 1][1::2], scores[y != 1]])
    assert roc_auc_score(np.arange(len(others)) >= (y == 1).sum() // 2, others) > 0.9


def test_it_names_the_cause():
    fitted = isthmus.Autoencoder(**QUICK, random_state=0).fit(X)
    odd = X[:20].copy()
    odd[:, 7] += 50 * X[:, 7].std()
    assert (fitted.explain(odd).argmax(1) == 7).all()
    assert np.allclose(fitted.explain(odd).sum(1), 1)


def test_samples_are_like_the_rows():
    fitted = isthmus.Autoencoder(max_steps=1000, random_state=0).fit(X)
    new = fitted.sample(500, random_state=0)
    assert new.shape == (500, X.shape[1])
    assert np.abs((new.mean(0) - X.mean(0)) / X.std(0)).max() < 0.5


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"latent_dim": 0}, "latent_dim=0: must be a whole number of at least 1"),
        ({"loss": "mixed"}, "loss=mixed: must be one of"),
        ({"noise": "dust"}, "noise=dust: must be one of"),
        ({"lr": -1}, "lr=-1: must be a number above 0"),
        ({"validation_fraction": 0}, "validation_fraction=0: must be a number above 0"),
        (
            {"false_alarm_rate": 1e-4},
            "false_alarm_rate=0.0001: is too small for 57 validation rows, .* a larger validation_fraction",
        ),
        ({"hidden": "64"}, "hidden=64: must be the widths of the hidden layers, such as"),
        ({"hidden": None}, "hidden=null: must be the widths of the hidden layers"),
        ({"hidden": 0}, "hidden=0: must be a whole number of at least 1"),
        ({"overrides": "model=vae"}, "overrides=model=vae: must be a list of texts, such as"),
        ({"overrides": {"model": "vae"}}, "must be a list of texts, such as"),
        ({"overrides": None}, "overrides=null: must be a list of texts, such as"),
        ({"device": "abacus"}, "device=abacus: there is no such device here"),
        ({"overrides": ["trainer.devices=2"]}, "overrides=trainer.devices=2: must be a key of architecture"),
        ({"overrides": ["optimizer.learning_rate=1"]}, "optimizer.learning_rate=1: there is no such key"),
        ({"overrides": ["model=vea"]}, "model=vea: there is no such choice"),
    ],
)
def test_mistakes(parameters, message):
    with pytest.raises(BadInput, match=message):
        isthmus.Autoencoder(**{**QUICK, **parameters}).fit(X)


def test_one_hidden_layer_is_a_number():
    narrow, same = (isthmus.Autoencoder(max_steps=25, hidden=each, random_state=0) for each in (16, (16,)))
    assert np.array_equal(narrow.fit(X).transform(X), same.fit(X).transform(X))


def test_a_rate_is_refused_before_training(monkeypatch):
    monkeypatch.setattr(in_memory, "train_in_memory", lambda *_, **__: pytest.fail("trains"))
    with pytest.raises(BadInput, match="false_alarm_rate"):
        isthmus.Autoencoder(**QUICK, false_alarm_rate=1e-4).fit(X)


def test_a_training_that_fails_changes_nothing(monkeypatch):
    fitted = isthmus.Autoencoder(**QUICK, random_state=0).fit(X)
    codes, rows = fitted.transform(X), fitted.reconstruct(X)

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(in_memory, "_validate", interrupt)
    new = isthmus.Autoencoder(**QUICK)
    for each in (fitted, new):
        with pytest.raises(KeyboardInterrupt):
            each.fit(X * 100 + 5)
    assert np.array_equal(fitted.transform(X), codes)
    assert np.array_equal(fitted.reconstruct(X), rows)
    with pytest.raises(NotFittedError):
        new.predict(X)


def test_divergence_names_the_parameter():
    with pytest.raises(TrainingDiverged, match=r"the loss is .* at step .*; lower lr$"):
        isthmus.Autoencoder(**QUICK, lr=1e30).fit(X)


@pytest.mark.parametrize("size", [1e300, 1e60])
def test_values_that_cannot_be_scaled(size):
    estimator = isthmus.Autoencoder(**QUICK, random_state=0)
    with pytest.raises(BadInput, match="are too large to be scaled"):
        estimator.fit(X * 1e300) if size == 1e300 else estimator.fit(X).predict(X * size)


def test_a_variational_one_has_a_prior():
    fitted = isthmus.Autoencoder(**QUICK, random_state=0, overrides=["model=vae"]).fit(X)
    assert fitted.model_.has_prior


def test_verbose(capsys):
    isthmus.Autoencoder(**QUICK, verbose=True).fit(X)
    assert capsys.readouterr().out.startswith("step 25  val/loss ")
