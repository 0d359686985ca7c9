"""A loss that is no longer finite ends the run, says at which step, and leaves what was good."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
import torch

from isthmus.common.errors import TrainingDiverged
from isthmus.core.losses.mse import MSE
from isthmus.runs.folder.run_folder import RunFolder
from isthmus.runs.resume import resume
from isthmus.runs.train import train
from isthmus.training.monitors.nonfinite import ADVICE, DivergenceGuard
from isthmus.training.step import capture


def test_the_first_bad_step_is_named():
    guard = DivergenceGuard()
    guard.check()  # of nothing
    for step, loss in enumerate([1.0, 2.0, math.inf, math.nan], start=5):
        guard.add(step, torch.tensor([loss, 0.0]))
    with pytest.raises(TrainingDiverged, match=r"the loss is inf at step 7; lower optimizer\.lr"):
        guard.check()


def test_looking_forgets_what_was_fine():
    guard = DivergenceGuard()
    guard.add(1, torch.tensor([1.0]))
    guard.check()
    guard.add(2, torch.tensor([math.nan]))
    with pytest.raises(TrainingDiverged, match="nan at step 2"):
        guard.check()


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_weight_that_is_not_finite_is_noticed(value):
    DivergenceGuard().check_weights([torch.ones(3), torch.zeros(0)], 4)
    with pytest.raises(TrainingDiverged, match="not finite after step 4"):
        DivergenceGuard().check_weights([torch.ones(3), torch.tensor([1.0, value])], 4)


@pytest.fixture
def poisoned(monkeypatch):
    """Make the loss of one training batch of the next runs NaN."""

    def at(step):
        true, calls = MSE.elementwise, iter(range(1, 10**6))

        def elementwise(self, raw, x):
            losses = true(self, raw, x)
            return losses * math.nan if torch.is_grad_enabled() and next(calls) == step else losses

        monkeypatch.setattr(MSE, "elementwise", elementwise)
        monkeypatch.setattr(capture, "can_be_captured", lambda module: False)  # a recording does not count

    return at


def diverged(cfg, path):
    with pytest.raises(TrainingDiverged) as raised:
        train(cfg, path)
    folder = RunFolder(path)
    status = folder.read_json(folder.status)
    assert status["status"] == "failed"
    assert status["error"] == str(raised.value)
    assert "TrainingDiverged" in status["traceback"]
    assert not folder.results.exists()
    return folder, str(raised.value)


# 4 steps an epoch
@pytest.mark.parametrize("step", [1, 4, 6])
@pytest.mark.parametrize("every", [1, 50])
@pytest.mark.parametrize("val_size", [0, 0.1])
def test_a_nan_names_its_step_however_often_losses_are_looked_at(
    step, every, val_size, bare, poisoned, tmp_path
):
    poisoned(step)
    cfg = bare(
        *("data.batch_size=400", f"data.val_size={val_size}"),
        *("trainer.max_epochs=3", f"trainer.log_every_n_steps={every}"),
    )
    folder, message = diverged(cfg, tmp_path / "run")
    assert f"nan at step {step};" in message
    # the checkpoints of the epochs before are there and are finite
    for name in ("best", "last"):
        if step <= 4:
            assert not (folder.checkpoints / f"{name}.ckpt").exists()
            continue
        state = torch.load(folder.checkpoint(name), weights_only=True)
        assert state["global_step"] == 4
        assert all(tensor.isfinite().all() for tensor in state["state_dict"].values())


def test_accumulated_steps_are_counted_as_optimizer_steps(bare, poisoned, tmp_path):
    poisoned(4)  # the second batch of the second step
    cfg = bare("data.batch_size=200", "trainer.max_epochs=1", "trainer.accumulate_grad_batches=2")
    _, message = diverged(cfg, tmp_path / "run")
    assert "nan at step 2;" in message


def test_a_huge_learning_rate_is_a_divergence(bare, tmp_path):
    cfg = bare("optimizer=sgd", "optimizer.lr=1e6", "architecture=linear", "trainer.max_epochs=3")
    folder, message = diverged(cfg, tmp_path / "run")
    found = re.search(r"the loss is (inf|nan) at step (\d+); lower optimizer\.lr", message)
    assert found
    assert 1 < int(found.group(2)) <= 40
    assert folder.read_json(folder.status)["step"] <= 40


@pytest.mark.parametrize(
    "typed",
    [
        ("optimizer=sgd", "architecture=linear", "trainer.gradient_clip_val=1"),
        ("optimizer=adam", "architecture=linear"),
        ("optimizer=adamw", "optimizer.weight_decay=0", "architecture=linear"),
        ("model=vae",),
        ("optimizer=adam", "architecture=linear", "data.val_size=0", "data.test_size=0"),
    ],
    ids=" ".join,
)
def test_a_loss_that_is_finite_and_astronomical_is_a_divergence(typed, bare, tmp_path):
    cfg = bare("optimizer.lr=1000", "trainer.max_epochs=2", "data.batch_size=64", *typed)
    folder, message = diverged(cfg, tmp_path / "run")
    found = re.fullmatch(
        r"the loss is (\S+) after (\d+) steps, and was (\S+) before the first; (.*)", message
    )
    assert found
    assert float(found[1]) > 1e6 * float(found[3])
    assert found[4] == ADVICE
    assert folder.read_json(folder.status)["step"] == int(found[2])
    with pytest.raises(TrainingDiverged) as again:  # nothing is left to train, and the verdict stays
        resume(folder.path)
    assert str(again.value) == message
    assert folder.read_json(folder.status)["status"] == "failed"


@pytest.mark.parametrize(
    "typed",
    [
        ("optimizer.lr=0.1",),
        ("optimizer.lr=0.3", "optimizer=sgd", "architecture=linear", "trainer.gradient_clip_val=1"),
        ("optimizer.lr=0.1", "loss=gaussian", "architecture=linear"),
        ("optimizer.lr=0.1", "latent=gaussian", "regularizer=[kl]", "architecture=linear"),
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e5])
def test_losses_of_any_scale_that_fluctuate_are_none(scale, typed, bare, tmp_path):
    values = np.random.default_rng(0).standard_cauchy((600, 8)).clip(-1e3, 1e3) * scale
    np.save(tmp_path / "rows.npy", values.astype(np.float32))
    cfg = bare(
        *("data=arrays", f"data.path={tmp_path / 'rows.npy'}", "data.batch_size=20", "trainer.max_epochs=3"),
        *("latent.dim=2", *typed),
    )
    assert train(cfg, tmp_path / "run").is_done


def test_numbers_before_the_divergence_are_kept(bare, poisoned, tmp_path):
    poisoned(7)
    cfg = bare("data.batch_size=400", "trainer.max_epochs=3", "trainer.log_every_n_steps=1")
    folder, _ = diverged(cfg, tmp_path / "run")
    logged = np.genfromtxt(folder.metrics, delimiter=",", names=True, deletechars="")
    steps = logged["step"][np.isfinite(logged["train/loss_step"])]
    assert set(range(1, 5)) <= set(steps.astype(int))
