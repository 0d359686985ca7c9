"""Evaluate a run's checkpoint with the run's own config."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from lightning_fabric.plugins.environments import LightningEnvironment
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pytorch_lightning import Trainer

from isthmus.common.errors import BadInput
from isthmus.common.messages import did_you_mean
from isthmus.runs.config.build import Parts, build
from isthmus.runs.config.keys import check_trained, flat
from isthmus.runs.config.validation import check
from isthmus.runs.execution import gc_pause
from isthmus.runs.folder.run_folder import RunFolder
from isthmus.runs.folder.untrusted import check_opened
from isthmus.training.callbacks.checkpoints import CONFIG
from isthmus.training.checkpoint.io import read_checkpoint
from isthmus.training.checkpoint.validation import check_weights, is_count
from isthmus.training.devices import check_devices, set_threads
from isthmus.training.trainer import NOWHERE, quiet

COUNTS = ("epoch", "global_step")  # keys of a checkpoint


class Loaded(NamedTuple):
    """A trained run.

    Attributes:
        cfg: its config with the overrides applied.
        parts: its data, and its model with the trained weights.
        checkpoint: best or last: the checkpoint that the weights come from.
        damage: why best could not be read, if last was loaded instead; or None.
        epoch: number of epochs trained.
        step: number of optimizer steps trained.
    """

    cfg: DictConfig
    parts: Parts
    checkpoint: str
    damage: str | None
    epoch: int
    step: int


def load(folder: RunFolder, checkpoint: str | None = None, *, overrides: Sequence[str] = ()) -> Loaded:
    """Load the data and the trained model of a run.

    Args:
        folder: the run folder.
        checkpoint: best or last; None: best, or last if best is damaged.
        overrides: changes of the config, such as ``trainer.accelerator=cpu`` or ``data.path=...``.
    """
    trained = folder.read_config()
    cfg = overridden(trained.copy(), overrides)
    check(cfg)
    check_opened(cfg, overrides)
    try:
        check_devices(cfg.trainer.accelerator, 1)
    except BadInput as error:
        raise error.under("trainer") from error
    name, state, damage = _read(folder, checkpoint)
    if not all(is_count(state.get(key)) for key in COUNTS):
        raise BadInput("RUN", folder.path, f"{name}.ckpt is no checkpoint of a run")
    check_trained(state.get(CONFIG), trained)
    recorded = folder.read_provenance().get("data")
    columns = recorded.get("columns") if isinstance(recorded, dict) else None
    parts = _build(cfg, columns, overrides)
    try:
        check_weights(state, parts.module)
    except ValueError as error:
        raise BadInput(
            "RUN",
            folder.path,
            f"its weights do not fit the model that the config and the overrides build: {error}",
        ) from error
    parts.module.load_state_dict(state["state_dict"])
    return Loaded(cfg, parts, name, damage, state["epoch"] + 1, state["global_step"])


def _build(cfg: DictConfig, columns: Any, overrides: Sequence[str]) -> Parts:
    """Build the parts. Table columns are matched by name with those of training, in any order in the file.

    Args:
        cfg: the config with the overrides applied.
        columns: recorded by the run; None if the data have none, or the run predates the record.
        overrides: as typed.
    """
    named = isinstance(columns, list) and all(isinstance(name, str) for name in columns)
    named = named and "columns" in cfg.data
    matched = named and cfg.data.columns is None and not any("${" in name for name in columns)
    if matched:
        cfg.data.columns = columns
    if named and "drop" in cfg.data and not any(each.startswith("data.drop") for each in overrides):
        cfg.data.drop = []  # the file may lack columns that the run does not use
    try:
        parts = build(cfg)
    except BadInput as error:
        if matched and error.key == "data.columns":
            raise BadInput(error.key, error.value, f"the run was trained on it, but {error.fix}") from error
        raise
    if named and parts.data.source.describe().get("columns") != columns:
        raise BadInput("data.columns", cfg.data.columns, f"the run was trained on {columns}, in this order")
    return parts


def _read(folder: RunFolder, checkpoint: str | None) -> tuple[str, dict[str, Any], str | None]:
    """Name and content of the checkpoint to use, and why best is damaged if last replaces it."""
    path = folder.checkpoint(checkpoint or "best")
    try:
        return path.stem, read_checkpoint(path), None
    except (OSError, ValueError) as error:
        other = "best" if checkpoint == "last" else "last"
        if checkpoint is not None or not (folder.checkpoints / f"{other}.ckpt").is_file():
            raise BadInput("RUN", folder.path, f"{error}; try --checkpoint {other}") from error
        return other, _read(folder, other)[1], str(error)


def overridden(cfg: DictConfig, overrides: Sequence[str]) -> DictConfig:
    """Apply KEY=VALUE overrides to `cfg` in place and return it; raise `BadInput` for unknown keys."""
    OmegaConf.set_struct(cfg, True)
    for override in overrides:
        key, equals, value = override.partition("=")
        if not equals:
            raise BadInput("override", override, "must be KEY=VALUE")
        try:
            cfg.merge_with_dotlist([override])
        except OmegaConfBaseException as error:
            hint = did_you_mean(key, flat(cfg))
            fix = "; ".join(filter(None, ("there is no such key in the run's config", hint)))
            raise BadInput(key, value, fix) from error
        except yaml.YAMLError as error:
            raise BadInput(key, value, "cannot be read; lists are [1,2]") from error
    return cfg


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
