"""Validation and test: the numbers are those of the whole set, found by hand, and change nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pytorch_lightning import Trainer
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

from isthmus.core.seeding import derive_seed
from isthmus.runs.config.build import build
from isthmus.runs.execution.trainer_data import TrainerData

MODELS = ["ae", "dae", "sparse_ae", "vae", "beta_vae"]
EXACT = {"rel": 2e-5, "abs": 1e-6}  # float32 means of a few hundred rows, in another order


def trainer():
    return Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )


def evaluated(parts, stage="validate"):
    [metrics] = getattr(trainer(), stage)(parts.module, datamodule=TrainerData(parts.data), verbose=False)
    return metrics


def by_hand(parts, rows, batch_size, low=0.0, high=1.0):
    """Every example of the set at once, but for chance, which is drawn for each batch."""
    model, data = parts.module.autoencoder.eval(), parts.data
    x, reconstructions, counts, posteriors = [], [], [], []
    costs = {"loss": [], "reconstruction": []}
    for block, chunk in enumerate(rows.split(batch_size)):
        stored = data.scaling(data.source.take(chunk))
        torch.default_generator.manual_seed(derive_seed(parts.module.seed, "evaluation", block))
        with torch.no_grad():
            result, terms = model(stored)
            posterior = result.code.posterior
            reconstructions.append(model.decode(result.code.z if posterior is None else posterior.mean))
        x.append(stored)
        counts.append(len(chunk))
        posteriors.append(posterior)
        for name, values in costs.items():
            values.append(terms.named()[name].item())
    x, y = torch.cat(x), torch.cat(reconstructions)
    difference = (y - x).double().numpy()
    clipped = y.clamp(low, high)
    truth = {name: np.average(values, weights=counts) for name, values in costs.items()} | {
        "mse": np.mean(difference**2),
        "mae": np.mean(np.abs(difference)),
        "psnr": peak_signal_noise_ratio(y, x, data_range=high - low).item(),
        "ssim": structural_similarity_index_measure(clipped, x, data_range=high - low).item(),
    }
    if parts.module.autoencoder.latent.probabilistic:
        mean, log_var = (torch.cat(part).double().numpy() for part in zip(*posteriors, strict=True))
        truth["kl"] = 0.5 * (mean**2 + np.exp(log_var) - log_var - 1).sum(1).mean()
        truth["active_units"] = (mean.var(0) > 0.01).sum()
    return truth


@pytest.fixture
def parts(bare):
    """An untrained run whose last evaluation batch is smaller than the others."""

    def made(*overrides):
        return build(bare("data.eval_batch_size=100", *overrides))

    return made


@pytest.mark.parametrize("stage", ["validate", "test"])
@pytest.mark.parametrize("model", MODELS)
def test_metrics_are_those_of_the_whole_set(model, stage, parts):
    run = parts(f"model={model}", "seed=3")
    prefix, rows = ("val", run.data.split.val) if stage == "validate" else ("test", run.data.split.test)
    assert len(rows) % 100
    metrics = evaluated(run, stage)
    for name, value in by_hand(run, rows, 100).items():
        assert metrics[f"{prefix}/{name}"] == pytest.approx(value, **EXACT), name


@pytest.mark.parametrize(("low", "high"), [(-1.0, 1.0), (0.0, 255.0)])
def test_metrics_of_images_take_the_range_of_the_data(low, high, parts, tmp_path):
    """Faint images, between whose SSIM for one range and for another there is much."""
    images = np.random.default_rng(0).normal(0, 0.02 * (high - low), (300, 12, 12)).clip(low, high)
    images[0, 0, :2] = low, high
    np.save(tmp_path / "images.npy", images.astype(np.float32))
    run = parts("data=arrays", f"data.path={tmp_path / 'images.npy'}")
    truth = by_hand(run, run.data.split.test, 100, low, high)
    metrics = evaluated(run, "test")
    for name, value in truth.items():
        assert metrics[f"test/{name}"] == pytest.approx(value, **EXACT), name


@pytest.mark.parametrize("model", ["ae", "sparse_ae"])
def test_the_batch_size_is_no_matter_where_there_is_no_chance(model, parts):
    first, other = (evaluated(parts(f"model={model}", f"data.eval_batch_size={size}")) for size in (7, 512))
    assert first == pytest.approx(other, **EXACT)


@pytest.mark.parametrize("model", ["dae", "vae"])
def test_each_validation_draws_the_same_chance(model, parts):
    run = parts(f"model={model}")
    first = evaluated(run)
    torch.randn(7)
    assert evaluated(run) == first
    assert evaluated(parts(f"model={model}")) == first
    other = parts(f"model={model}")
    other.module.seed = 1
    assert evaluated(other)["val/loss"] != first["val/loss"]


def test_noise_has_its_say_in_validation(parts):
    clean, noisy = parts("model=ae"), parts("model=dae", "noise.std=2.0")
    assert evaluated(clean)["val/mse"] != evaluated(noisy)["val/mse"]


def test_validation_judges_with_the_full_weight_and_training_with_the_grown_one(rows):
    logged = rows(
        *("model=vae", "regularizer.kl.weight=2", "regularizer.kl.warmup_epochs=4"),
        *("data.batch_size=400", "trainer.max_epochs=6", "trainer.log_every_n_steps=1"),
    )
    validations = [row for row in logged if "val/loss" in row]
    assert len(validations) == 6
    for row in validations:
        assert row["val/loss"] == pytest.approx(row["val/reconstruction"] + 2 * row["val/kl"], rel=1e-5)

    steps = [row for row in logged if "train/loss_step" in row]
    assert len(steps) == 24
    for number, row in enumerate(steps):
        weight = 2 * min(1, number / 4 / 4)  # 4 steps an epoch, 4 epochs
        expected = row["train/reconstruction_step"] + weight * row["train/kl_step"]
        assert row["train/loss_step"] == pytest.approx(expected, rel=1e-5)
    weights = [row["train/kl_weight"] for row in logged if "train/kl_weight" in row]
    assert weights == pytest.approx([2 * min(1, (4 * epoch + 3) / 16) for epoch in range(6)])


def test_validation_changes_nothing_in_training(rows):
    """The same steps, warm-up, chance and dropout included, however often one validates."""
    common = ("model=vae", "noise=gaussian", "architecture.dropout=0.2", "regularizer.kl.warmup_epochs=2")
    common += ("data.batch_size=400", "trainer.max_epochs=4", "trainer.log_every_n_steps=1")
    often, seldom = (
        [
            {name: value for name, value in row.items() if name.startswith("train/")}
            for row in rows(*common, f"trainer.check_val_every_n_epoch={every}", folder=str(every))
            if "train/loss_step" in row
        ]
        for every in (1, 4)
    )
    assert len(often) == 16
    assert often == seldom


def test_means_over_a_training_epoch_count_every_example_once(rows):
    logged = rows("data.batch_size=400", "trainer.max_epochs=1", "trainer.log_every_n_steps=1")
    steps = [row["train/loss_step"] for row in logged if "train/loss_step" in row]
    [mean] = [row["train/loss"] for row in logged if "train/loss" in row]
    sizes = [400, 400, 400, 1797 - round(0.2 * 1797) - round(0.1 * 1797) - 1200]
    assert mean == pytest.approx(np.average(steps, weights=sizes), rel=1e-6)
