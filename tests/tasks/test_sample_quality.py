"""`isthmus generate RUN --evaluate`: what it measures, for each kind of data, and what it refuses."""

from __future__ import annotations

import json
from shutil import copytree

import pytest
import torch
from sklearn.datasets import load_digits

from isthmus.runs.packed import flow
from isthmus.tasks.sample_quality import features
from isthmus.tasks.sample_quality.features import feature_space


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Fitting in a few steps."""
    monkeypatch.setattr(flow, "MOST_STEPS", 3)
    monkeypatch.setattr(features, "STEPS", 20)


def evaluate(here, run, folder):
    code, out, err = here("generate", run, "--evaluate", "-o", folder)
    assert code == 0, err
    return out


@pytest.mark.parametrize(
    ("kind", "samplers", "features_are"),
    [
        ("digits", {"mixture", "flow"}, "classifier of 10 classes"),
        ("photos", {"prior", "mixture", "flow"}, "classifier of 2 classes"),
        ("visits", {"mixture", "flow"}, "classifier of 2 classes"),
        ("scaled", {"mixture", "flow"}, "principal components"),
    ],
)
def test_samples_of_each_kind_are_measured(kind, samplers, features_are, here, run_of, tmp_path):
    run = copytree(run_of(kind), tmp_path / "run")  # its model file is changed
    out = evaluate(here, run, "new")
    found = json.loads((tmp_path / "new" / "quality.json").read_text())
    sets = {name: each for name, each in found.items() if isinstance(each, dict)}
    assert set(sets) == {"training rows", "reconstructions", *samplers}
    for name, each in sets.items():
        assert name in out
        assert each["rows"] == found["test_rows"] or name == "training rows"
        assert each["frechet_distance"] >= 0
        assert all(0 <= each[measure] <= 1 for measure in ("precision", "recall", "coverage"))
    assert features_are in found["features"]
    assert (found["classifier_accuracy"] is None) == ("principal" in found["features"])
    real = sets["training rows"]
    assert real["frechet_distance"] <= min(each["frechet_distance"] for each in sets.values())
    assert real["recall"] > 0.5
    if kind == "scaled":
        assert evaluate(here, run, "again").splitlines()[:5] == out.splitlines()[:5]


def test_one_sampler_and_what_is_refused(here, run_of, tmp_path):
    code, out, _ = here("generate", run_of("scaled"), "--evaluate", "--sampler", "mixture", "-o", "new")
    assert code == 0
    assert "flow" not in out
    packed = run_of("scaled") / "model.isthmus"
    for arguments, message in (
        ((run_of("scaled"), "-n", 5), "with --evaluate there are as many samples as test rows"),
        ((run_of("scaled"), "--sampler", "prior"), "the latent has no prior"),
        ((packed,), "is a packed model, which has no data of its own"),
    ):
        code, _, err = here("generate", *arguments, "--evaluate", "-o", "other")
        assert code == 2
        assert message in err
        assert len(err.splitlines()) == 1
        assert not (tmp_path / "other").exists()


def test_the_classifier_is_trained_once_for_the_same_rows_and_classes(cache, monkeypatch, capsys):
    digits = load_digits()
    x = torch.from_numpy(digits.images / 16).float()[:, None]
    labels = torch.from_numpy(digits.target)
    first = feature_space(x[:1500], labels[:1500])
    assert "Training a classifier of 10 classes in 18 steps" in capsys.readouterr().err
    found = first.features(x[1500:])
    assert (first.predict(found) == labels[1500:]).double().mean() > 0.5
    assert feature_space(x[:1400], labels[:1400]).features(x[1500:]).ne(found).any()

    def forbidden(*_):
        raise AssertionError

    monkeypatch.setattr(features, "_train", forbidden)
    capsys.readouterr()
    assert feature_space(x[:1500], labels[:1500]).features(x[1500:]).equal(found)
    assert not capsys.readouterr().err
    with pytest.raises(AssertionError):
        feature_space(x[:1500], labels[:1500].flip(0))


def test_a_damaged_classifier_is_trained_again(cache):
    x = torch.randn(60, 4, generator=torch.Generator().manual_seed(0))
    labels = (x[:, 0] > 0).long() * 3 + 2  # not from 0, and with gaps
    before = set(cache.rglob("classifiers/*"))
    found = feature_space(x, labels).features(x)
    (kept,) = set(cache.rglob("classifiers/*")) - before
    kept.write_bytes(b"nonsense")
    space = feature_space(x, labels)
    assert space.features(x).equal(found)
    assert set(space.predict(found).tolist()) <= {2, 5}
