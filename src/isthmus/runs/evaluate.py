"""Evaluate a run's checkpoint with the run's own config."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning_fabric.plugins.environments import LightningEnvironment
from pytorch_lightning import Trainer

from isthmus.common.errors import BadInput
from isthmus.runs.execution import gc_pause
from isthmus.runs.execution.trainer_data import TrainerData
from isthmus.runs.folder.run_folder import RunFolder
from isthmus.runs.loading import load
from isthmus.runs.run_data import is_same_data
from isthmus.training.devices import set_threads
from isthmus.training.trainer import NOWHERE, quiet


def evaluate(path: Path, *, checkpoint: str | None = None, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Test a run's checkpoint, and check whether the data are those that it was trained on.

    Returns:
        ``test/...`` metrics, ``checkpoint``, its ``epoch`` and ``step``, ``damaged`` (why best could not be
        read, if last was tested instead; or None), ``rows`` that were tested, ``leaked`` (how many of these
        the model was trained on, or chosen by), ``same_data``, and ``remarks`` on how the data were read.
    """
    quiet()
    run = load(RunFolder.open(path), checkpoint, overrides=overrides)
    settings, data = run.cfg.trainer, run.parts.data
    set_threads(settings.threads, processes=1)
    if not len(data.split.test):
        raise BadInput("data.test_size", run.cfg.data.test_size, "leaves no test set to evaluate on")
    trainer = Trainer(
        accelerator=settings.accelerator,
        devices=1,
        precision=settings.precision,
        deterministic=settings.deterministic,
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
        default_root_dir=NOWHERE,
        plugins=LightningEnvironment(),
    )
    gc_pause.go_on()
    (metrics,) = trainer.test(run.parts.module, datamodule=TrainerData(data), verbose=False)
    return {
        **metrics,
        "checkpoint": run.checkpoint,
        "epoch": run.epoch,
        "step": run.step,
        "damaged": run.damage,
        "leaked": run.leaked,
        "rows": len(data.split.test),
        "remarks": [list(each) for each in data.source.remarks(data.split.test)],
        "same_data": is_same_data(run.trained_on, data),
    }
