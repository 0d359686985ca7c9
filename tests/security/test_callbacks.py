"""Odd callbacks of configs, and odd states of callbacks, cost one line."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from isthmus.common.errors import BadInput
from isthmus.runs.config.keys import check_trained, decisive
from isthmus.runs.folder.run_folder import RunFolder
from isthmus.runs.show import damaged
from isthmus.training.checkpoint.io import AtomicCheckpointIO, read_checkpoint
from isthmus.training.devices import threads_of
from isthmus.training.writers.background import Background

FIXTURES = sorted(Path(__file__).parents[1].glob("fixtures/run_v*"))


@pytest.mark.parametrize("fixture", FIXTURES, ids=lambda path: path.name)
@pytest.mark.parametrize(
    ("key", "value"), [("callbacks", [1]), ("callbacks", 5), ("callbacks.latents", [1, 2]), ("trainer", None)]
)
def test_an_old_folder_with_other_things_for_callbacks(key, value, fixture, here, tmp_path):
    run = shutil.copytree(fixture, tmp_path / "run")
    cfg = OmegaConf.load(run / "config.yaml")
    OmegaConf.update(cfg, key, value, merge=False)
    (run / "config.yaml").write_text(OmegaConf.to_yaml(cfg))
    said = here("evaluate", "run")
    assert said.code == 2
    assert said.err.count("\n") == 1
    assert key in said.err
    assert "Traceback" not in here("show", "run").err


@pytest.mark.parametrize("fixture", FIXTURES, ids=lambda path: path.name)
def test_the_files_of_an_old_folder_are_not_called_damaged(fixture, tmp_path):
    assert damaged(shutil.copytree(fixture, tmp_path / "run")) == {}


def test_auto_is_a_metric_of_checkpoints_alone(here, tmp_path):
    early = "callbacks.early_stopping"
    said = here("train", f"{early}.enabled=true", f"{early}.monitor=auto", "hydra.run.dir=run")
    assert said.code == 2
    assert f"{early}.monitor=auto: is not logged by this run" in said.err
    assert not (tmp_path / "run").exists()


def test_an_allowed_class_that_lightning_refuses(here, monkeypatch):
    name = "pytorch_lightning.callbacks.LearningRateMonitor"
    typed = (f"+callbacks.x._target_={name}", "+callbacks.x.logging_interval=foo")
    monkeypatch.setenv("ISTHMUS_ALLOW", "pytorch_lightning")
    said = here("train", *typed)
    assert said.code == 2
    assert said.err.count("\n") == 1
    assert f"callbacks.x._target_={name}: " in said.err


@pytest.mark.parametrize("value", [np.float64(1.0), {1}, Path("x"), torch.float32, object(), lambda: 0])
def test_a_state_that_could_not_be_read_again_is_not_written(value, tmp_path):
    path = tmp_path / "x.ckpt"
    with Background() as background:
        io = AtomicCheckpointIO(background, before=lambda: None)
        io.save_checkpoint({"callbacks": {"Mine": {"n": 1}}}, path)
        background.flush()
        with pytest.raises(TypeError, match=r"the state of callback Mine\['n'\]\[0\] is a .*cannot hold"):
            io.save_checkpoint({"callbacks": {"Mine": {"n": [value]}}}, path)
    assert read_checkpoint(path) == {"callbacks": {"Mine": {"n": 1}}}


@pytest.mark.parametrize("threads", ["9" * 23, "999999999", "٢", "0", "x"])
def test_threads_that_cannot_be_started(threads, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", threads)
    with pytest.raises(BadInput, match="must be a number of threads"):
        threads_of(None, processes=1)


def test_a_config_in_a_checkpoint_may_hold_tensors():
    cfg = RunFolder(FIXTURES[-1]).read_config()
    recorded = {**decisive(cfg), "latent.dim": torch.zeros(3)}
    with pytest.raises(BadInput, match=r"latent\.dim"):
        check_trained(recorded, cfg)
