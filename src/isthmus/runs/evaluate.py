"""Evaluate a run's checkpoint with the run's own config."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning_fabric.plugins.environments import LightningEnvironment
from pytorch_lightning import Trainer

from isthmus.common.errors import BadInput
from isthmus.runs.execution import gc_pause
from isthmus.runs.folder.run_folder import RunFolder
from isthmus.runs.loading import load
from isthmus.training.devices import set_threads
from isthmus.training.trainer import NOWHERE, quiet


def evaluate(path: Path, *, checkpoint: str | None = None, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Test a run's checkpoint, and check whether the data are those that it was trained on.

    Returns:
        ``test/...`` metrics, ``checkpoint``, its ``epoch`` and ``step``, ``damaged`` (why best could not be
        read, if last was tested instead; or None), and ``same_data``.
    """
    quiet()
    folder = RunFolder.open(path)
    cfg, parts, tested, damage, epoch, step = load(folder, checkpoint, overrides=overrides)
    set_threads(cfg.trainer.threads, processes=1)
    if not len(parts.data.split.test):
        raise BadInput("data.test_size", cfg.data.test_size, "leaves no test set to evaluate on")
    trainer = Trainer(
        accelerator=cfg.trainer.accelerator,
        devices=1,
        precision=cfg.trainer.precision,
        deterministic=cfg.trainer.deterministic,
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
        default_root_dir=NOWHERE,
        plugins=LightningEnvironment(),
    )
    gc_pause.go_on()
    (metrics,) = trainer.test(parts.module, datamodule=parts.data, verbose=False)
    provenance = folder.read_provenance()
    recorded = provenance.get("data")
    trained_on = recorded if isinstance(recorded, dict) else {}
    now = parts.data.describe()
    same = all(trained_on.get(key) == now[key] for key in ("fingerprint", "split_fingerprint"))
    return {
        **metrics,
        "checkpoint": tested,
        "epoch": epoch,
        "step": step,
        "damaged": damage,
        "same_data": same,
    }
