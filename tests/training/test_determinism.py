"""The same config and seed give the same run, to the bit, whatever else drew random numbers before."""

from __future__ import annotations

import copy
import random
import shutil
from functools import cache as once
from itertools import cycle, islice

import numpy as np
import pytest
import torch
from PIL import Image

from isthmus.data.examples import locate
from isthmus.data.fashion_mnist import DEBIAN
from isthmus.runs.config.compose import conf_dir
from isthmus.runs.folder import provenance
from isthmus.runs.train import train

TINY = ("trainer.max_epochs=2", "trainer.max_steps=12", "trainer.log_every_n_steps=3", "latent.dim=3")
DIGITS = ("data.test_size=1500", "data.val_size=64")
NETS = {
    "linear": (),
    "mlp": ("architecture.hidden=[8]", "architecture.normalization=batch", "architecture.dropout=0.2"),
    "conv": ("architecture.channels=[4,4]", "architecture.normalization=batch"),
    "resnet": ("architecture.channels=[4,4]",),
}
DATA = {
    "digits": DIGITS,
    "fashion_mnist": (),
    "table": ("data.path=example:breast_cancer.csv", "data.label=diagnosis", "data.batch_size=32"),
    "arrays": ("data.path=example:patches.npy",),
    "images": ("data.path=example:photos", "data.size=8"),
    "huggingface": ("data.path=photos",),
}
# each of these groups has its next choice in the next case, so that as few cases as possible have them all
TOGETHER = ("latent", "loss", "regularizer", "objective", "noise", "optimizer", "scheduler")
# how training is done, where it could depend on more than the seed
WAYS = [
    ("trainer.accumulate_grad_batches=2", "trainer.gradient_clip_val=0.5"),
    ("trainer.steps_per_execution=1", "noise=gaussian"),
    ("callbacks.early_stopping.enabled=true", "callbacks.early_stopping.patience=1", "optimizer.lr=1"),
    ("data.val_size=0", "model=vae", "regularizer.kl.warmup_epochs=1.5"),
]


def choices(group):
    return sorted(path.stem for path in (conf_dir() / group).glob("*.yaml") if not path.name.startswith("_"))


def together():
    count = max(len(choices(group)) for group in TOGETHER)
    for chosen in islice(zip(*(cycle(choices(group)) for group in TOGETHER), strict=False), count):
        typed = dict(zip(TOGETHER, chosen, strict=True))
        if typed["regularizer"] == "kl":
            typed["latent"] = "gaussian"
        typed["regularizer"] = f"[{typed['regularizer']}]"
        yield tuple(f"{group}={choice}" for group, choice in typed.items())


def cases():
    for typed in [*together(), *WAYS, *((f"model={choice}",) for choice in choices("model"))]:
        yield pytest.param((*DIGITS, *NETS["mlp"], *typed), id="_".join(typed))
    for choice in choices("architecture"):
        yield pytest.param((*DIGITS, f"architecture={choice}", *NETS[choice]), id=f"architecture={choice}")
    for choice in choices("data"):
        yield pytest.param(
            (f"data={choice}", "architecture=linear", "noise=masking", *DATA[choice]),
            id=f"data={choice}",
            marks=[pytest.mark.slow] * (choice == "fashion_mnist"),  # 70,000 images, in memory as the digits
        )


@pytest.fixture
def trained(bare, cache, tmp_path):
    """Train what is typed, after random numbers that are never the same; returns what must be."""
    composed = once(bare)

    def run(name, *typed, seed=0):
        if "data=huggingface" in typed:
            datasets = pytest.importorskip("datasets")
            pictures = [
                {"image": Image.open(file)} for file in sorted(locate("example:photos").rglob("*.png"))
            ]
            datasets.Dataset.from_list(pictures).save_to_disk(tmp_path / "photos")
            typed = [
                f"data.path={tmp_path / 'photos'}" if each == "data.path=photos" else each for each in typed
            ]
        if "data=fashion_mnist" in typed and not DEBIAN.is_dir():
            pytest.skip("Fashion-MNIST is not on this machine (Debian's package dataset-fashion-mnist)")
        config = copy.deepcopy(composed(*TINY, *typed))
        config.seed = seed
        for generator in (random, np.random, torch.random):
            generator.seed()
        return content(train(config, tmp_path / name))

    return run


@pytest.fixture(scope="module", autouse=True)
def _environment_is_read_once():
    """It takes as long as the training here does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(provenance, "environment", once(provenance.environment))
        yield


@pytest.fixture
def few(cache, tmp_path):
    """By data source that can be read while training, a path to some rows of its example."""
    np.save(tmp_path / "few.npy", np.load(locate("example:patches.npy"))[:80])
    (tmp_path / "few").mkdir()
    for number, file in enumerate(sorted(locate("example:photos").rglob("*.png"))[:80]):
        shutil.copyfile(file, tmp_path / "few" / f"{number:02}.png")
    rows = locate("example:breast_cancer.csv").read_text().splitlines(keepends=True)
    (tmp_path / "few.csv").write_text("".join(rows[:81]))
    return {"arrays": tmp_path / "few.npy", "images": tmp_path / "few", "table": tmp_path / "few.csv"}


def content(run):
    """By name, the bits of the weights and of the optimizers' state; the metrics as text."""
    kept = {"metrics.csv": run.metrics.read_text(), "results.json": run.results.read_text()}
    for name in ("best", "last"):
        checkpoint = torch.load(run.checkpoint(name), weights_only=True)
        for part in ("state_dict", "optimizer_states", "lr_schedulers"):
            kept |= flat(checkpoint[part], f"{name}.{part}")
    return kept


def flat(value, name):
    if isinstance(value, dict | list | tuple):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        return {k: v for key, item in items for k, v in flat(item, f"{name}.{key}").items()}
    return {name: (value.dtype, value.numpy().tobytes()) if isinstance(value, torch.Tensor) else value}


def weights(kept):
    found = {name: value for name, value in kept.items() if name.startswith("last.state_dict")}
    assert found
    return found


def differing(one, other):
    return [name for name in one.keys() | other.keys() if one.get(name) != other.get(name)]


@pytest.mark.parametrize("typed", list(cases()))
def test_the_same_seed_gives_the_same_bits(trained, typed):
    assert not differing(trained("first", *typed), trained("again", *typed))


def test_another_seed_gives_other_weights(trained):
    first, other = (weights(trained(str(seed), *DIGITS, *NETS["mlp"], seed=seed)) for seed in (0, 1))
    assert first.keys() == other.keys()
    assert differing(first, other)


@pytest.mark.parametrize("data", ["arrays", "images", "table"])
def test_how_data_are_read_changes_nothing(trained, few, data):
    typed = (f"data={data}", f"data.path={few[data]}", "data.batch_size=8", "architecture=linear")
    typed = (*typed, "noise=gaussian")
    expected = trained("memory", *typed, "data.in_memory=true")
    for size in (1, 3):
        resident = ("data.in_memory=true", f"trainer.steps_per_execution={size}")
        assert not differing(expected, trained(f"by_{size}", *typed, *resident)), size
    for workers in (0, 1, 2):
        streamed = ("data.in_memory=false", f"data.num_workers={workers}")
        assert not differing(expected, trained(f"workers_{workers}", *typed, *streamed)), workers


def test_what_a_run_keeps_does_not_change_what_it_learns(trained):
    typed = (*DIGITS, *NETS["mlp"], "model=vae", "noise=gaussian")
    on = [f"callbacks.{name}.enabled=true" for name in ("latents", "figures", "projector")]
    kept = trained("kept", *typed, *on, "callbacks.figures.every_n_epochs=1", "logger=tensorboard")
    assert not differing(trained("bare", *typed), kept)
