"""A packed model that somebody else made: it runs none of their code, and says in one line what is wrong."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import isthmus
from isthmus.common.errors import BadInput
from isthmus.common.tensor_file import read_tensors, write_tensors
from isthmus.runs.config.compose import compose
from isthmus.runs.train import train


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model file."""
    run = tmp_path_factory.mktemp("models") / "run"
    small = ("trainer.max_epochs=1", "latent.dim=3", "logger=csv", "callbacks.figures.summary=false")
    train(compose([*small, "trainer.accelerator=cpu"]), run)
    return run / "model.isthmus"


def put(about, key, value):
    group, _, rest = key.partition(".")
    if rest:
        put(about[group], rest, value)
    else:
        about[group] = value


FORGED = {
    "config.architecture._target_": "os.system",
    "config.latent._target_": "isthmus.runs.packed.model_file.ModelFile",
    "config.loss": {"_target_": "isthmus.core.losses.mse.MSE", "reduction": {"_target_": "os.getcwd"}},
    "config.data._target_": "builtins.eval",
    "config.noise": "text",
    "config": [],
    "config.latent.dim": 10**9,
    "config.architecture.hidden": [10**6, 10**6],
    "data.shape": [1, 10**9, 10**9],
    "data.shape.0": None,
    "data.value_range": ["a", 1],
    "data.prepared": {"columns": "x"},
    "format": 99,
    "run": None,
}


@pytest.mark.parametrize("key", FORGED)
def test_a_forged_config_is_refused(key, model, tmp_path):
    tensors, about = read_tensors(model)
    try:
        put(about, key, FORGED[key])
    except TypeError:
        about["data"]["shape"] = {"0": 1}
    write_tensors(tmp_path / "forged.isthmus", tensors, about)
    with pytest.raises(BadInput) as error:
        isthmus.load(tmp_path / "forged.isthmus")
    assert "\n" not in str(error.value)


TENSORS = {
    "nan weights": ("autoencoder.latent.code.weight", lambda each: each * float("nan")),
    "other shape": ("autoencoder.latent.code.weight", lambda each: each[:1]),
    "scale 0": ("scaling.scale", torch.zeros_like),
    "scale": ("scaling.scale", lambda each: torch.ones(7)),
    "std": ("detector.residuals.std", torch.zeros_like),
    "mixture": ("detector.mixture.factors", torch.zeros_like),
    "means": ("detector.mixture.means", lambda each: each[:, :1]),
    "whitening": ("detector.residuals.whitening", lambda each: each[:5]),
    "sigma": ("detector.residuals.sigma", lambda each: -each),
    "unsorted": ("held_out.combined", lambda each: each.flip(0)),
    "spread": ("detector.spread", lambda each: -each),
    "many codes": ("detector.neighbours.references", lambda each: each[:1].expand(2_001, -1)),
    "no codes": ("detector.neighbours.references", lambda each: each[:0]),
    "codes": ("detector.neighbours.references", lambda each: each * float("nan")),
    "kind of codes": ("detector.neighbours.references", lambda each: each.to(torch.float8_e4m3fn)),
    "kind of weights": ("autoencoder.latent.code.weight", lambda each: each.to(torch.complex64)),
    "origin": ("detector.origin", lambda each: each * float("inf")),
}


@pytest.mark.parametrize("name", TENSORS)
def test_forged_numbers_are_refused(name, model, tmp_path):
    tensors, about = read_tensors(model)
    key, change = TENSORS[name]
    tensors[key] = change(tensors[key])
    write_tensors(tmp_path / "forged.isthmus", tensors, about)
    with pytest.raises(BadInput):
        isthmus.load(tmp_path / "forged.isthmus", device="cpu").detect(np.zeros((2, 8, 8), np.uint8))


@pytest.mark.parametrize("prefix", ["autoencoder.", "scaling.", "detector.", "held_out.", "codes."])
def test_absent_numbers_are_refused(prefix, model, tmp_path):
    tensors, about = read_tensors(model)
    kept = {name: each for name, each in tensors.items() if not name.startswith(prefix)}
    write_tensors(tmp_path / "forged.isthmus", kept, about)

    def use():
        found = isthmus.load(tmp_path / "forged.isthmus", device="cpu")
        found.detect(np.zeros((2, 8, 8), np.uint8))
        found.traverse()

    with pytest.raises(BadInput):
        use()


@pytest.mark.parametrize("place", [3, 100, -1, -5000])
def test_a_flipped_bit_is_noticed(place, model, tmp_path):
    content = bytearray(model.read_bytes())
    content[place] ^= 1
    (tmp_path / "flipped.isthmus").write_bytes(content)
    with pytest.raises(BadInput):
        isthmus.load(tmp_path / "flipped.isthmus")


def test_other_files_are_refused(model, tmp_path):
    (tmp_path / "text.isthmus").write_text("hello")
    (tmp_path / "empty.isthmus").write_bytes(b"")
    save_file({"x": torch.zeros(3)}, tmp_path / "other.isthmus")
    save_file({"x": torch.zeros(3)}, tmp_path / "forged.isthmus", {"isthmus": json.dumps({"format": 1})})
    for name in ("text", "empty", "other", "forged"):
        with pytest.raises(BadInput, match="MODEL="):
            isthmus.load(tmp_path / f"{name}.isthmus")
