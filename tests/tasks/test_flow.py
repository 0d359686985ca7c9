"""The normalising flow over codes: fitted to a run's training rows on first use, and kept with the model."""

from __future__ import annotations

import re
import sys
from shutil import copytree

import numpy as np
import pytest
import torch
from sklearn.datasets import make_moons

import isthmus
from isthmus.common.errors import BadInput
from isthmus.common.tensor_file import read_tensors, write_tensors
from isthmus.runs.packed import flow
from isthmus.runs.packed.flow import Flow, fit_flow


@pytest.fixture
def quick(monkeypatch):
    """Fitting in a few steps."""
    monkeypatch.setattr(flow.fit_flow, "__kwdefaults__", {"seed": 0, "steps": 3})


def moons(count, seed):
    points = make_moons(count, noise=0.1, random_state=seed)[0] * [3, 0.1] + [5, 0]
    return torch.from_numpy(points).float()


def test_a_flow_learns_what_a_normal_distribution_cannot():
    codes, new = moons(2000, 0), moons(2000, 1)
    fitted = Flow.of(fit_flow(codes, steps=80), 2)
    normal = torch.distributions.MultivariateNormal(codes.mean(0), torch.cov(codes.T))
    assert fitted.energy(new).mean() < -normal.log_prob(new).mean() - 0.3
    drawn = fitted.sample(4000, torch.Generator().manual_seed(0))
    np.testing.assert_allclose(drawn.mean(0), codes.mean(0), atol=0.2)
    np.testing.assert_allclose(drawn.std(0), codes.std(0), rtol=0.15)


def test_its_density_is_one_and_its_numbers_do_not_change():
    codes = moons(300, 0)
    tensors = fit_flow(codes, steps=20)
    again = fit_flow(codes, steps=20)
    assert all(torch.equal(tensors[name], again[name]) for name in tensors)
    fitted = Flow.of(tensors, 2)
    side = torch.linspace(-1, 1, 200)
    grid = torch.cartesian_prod(side * 8 * fitted.std[0], side * 8 * fitted.std[1]) + fitted.mean
    area = float(16 * 16 * fitted.std.prod()) / 199**2
    assert float((-fitted.energy(grid)).exp().sum()) * area == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize(("count", "dim"), [(20, 1), (50, 40), (30, 3)])
def test_any_size_of_code_is_fitted(count, dim):
    codes = torch.zeros(count, dim) if dim == 3 else torch.randn(count, dim)
    drawn = Flow.of(fit_flow(codes, steps=2), dim).sample(7, torch.Generator().manual_seed(0))
    assert drawn.shape == (7, dim)
    assert drawn.isfinite().all()


def test_what_cannot_be_fitted_says_so(monkeypatch):
    with pytest.raises(BadInput, match="is fitted to 20 rows or more, not to 5; use mixture"):
        fit_flow(torch.zeros(5, 2))
    with pytest.raises(BadInput, match="codes of 300 numbers are more than 256"):
        fit_flow(torch.zeros(50, 300))
    monkeypatch.setitem(sys.modules, "zuko", None)
    monkeypatch.setattr(flow, "find_spec", lambda name: None)
    with pytest.raises(BadInput, match=r"pip install 'isthmus\[flow\]'"):
        fit_flow(torch.zeros(50, 2))


@pytest.fixture
def run(run_of, cache, tmp_path):
    """A run of its own: its model file is changed."""
    return copytree(run_of("digits"), tmp_path / "run")


def test_it_is_fitted_once_and_packed(run, quick, here, monkeypatch):
    packed = isthmus.load(run / "model.isthmus", device="cpu")
    with pytest.raises(BadInput, match="the model has none; fit one with isthmus generate"):
        packed.generate(3, sampler="flow")
    code, out, err = here("generate", run, "--sampler", "flow", "-n", 6)
    assert code == 0, err
    assert "6 samples of the flow" in out
    assert re.search(r"^Fitting a normalising flow to [\d,]+ codes in \d+ steps \.\.\.$", err, re.M)
    images = np.load(run / "generate" / "flow" / "samples.npy")
    assert here("pack", run, "one.isthmus")[0] == 0

    def forbidden(*_, **__):
        raise AssertionError

    monkeypatch.setattr("isthmus.tasks.coding.draw.fit_flow", forbidden)
    for place in (run, "one.isthmus"):
        model = isthmus.load(place, device="cpu")
        np.testing.assert_array_equal(model.generate(6, sampler="flow"), images)
        model.detect(images.clip(0, 1))  # what was there before still is
    monkeypatch.setattr(flow, "find_spec", lambda name: None)
    assert isthmus.load("one.isthmus").generate(2).shape == (2, 1, 8, 8)
    assert "isthmus[flow]" in here("generate", run, "--sampler", "flow")[2]


def test_a_run_that_may_only_be_read_is_sampled_too(run, quick, monkeypatch):
    def refused(*_):
        raise PermissionError

    before = (run / "model.isthmus").read_bytes()
    monkeypatch.setattr("isthmus.runs.packed.model_file.write_tensors", refused)
    model = isthmus.load(run, device="cpu")
    assert model.generate(2, sampler="flow", seed=1).shape == (2, 1, 8, 8)
    assert (run / "model.isthmus").read_bytes() == before


FORGED = {
    "nan": ("flow.mean", lambda each: each * float("nan")),
    "zero": ("flow.std", torch.zeros_like),
    "shape": ("flow.mean", lambda each: each[:3]),
    "dtype": ("flow.std", torch.Tensor.double),
    "huge": ("flow.std", lambda each: each * 3e38),
    "unknown": ("flow.other", None),
    "mask": ("mask", lambda each: ~each),
}


def test_forged_numbers_are_refused(run, quick, tmp_path):
    isthmus.load(run, device="cpu").sample_codes(2, sampler="flow")
    sound, about = read_tensors(run / "model.isthmus")
    for name, change in FORGED.values():
        tensors = dict(sound)
        key = next((each for each in tensors if each.startswith("flow.") and each.endswith(name)), name)
        tensors[key] = torch.zeros(2) if change is None else change(tensors[key])
        write_tensors(tmp_path / "forged.isthmus", tensors, about)
        model = isthmus.load(tmp_path / "forged.isthmus", device="cpu")
        model.sample_codes(2, sampler="mixture")
        with pytest.raises(BadInput, match=r"MODEL=.*damaged"):
            model.sample_codes(100, sampler="flow")
