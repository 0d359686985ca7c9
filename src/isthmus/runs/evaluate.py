"""Evaluate a run's checkpoint with the run's own config."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from lightning_fabric.plugins.environments import LightningEnvironment
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pytorch_lightning import Trainer

from isthmus.core.errors import BadInput
from isthmus.runs import garbage
from isthmus.runs.build import Parts, build
from isthmus.runs.configs import check_trained, flat
from isthmus.runs.folder import RunFolder
from isthmus.runs.reading import check_opened
from isthmus.runs.rules import check
from isthmus.training.callbacks.checkpoints import CONFIG
from isthmus.training.checkpoint_io import read_checkpoint
from isthmus.training.trainer import NOWHERE, check_devices, quiet, set_threads

COUNTS = ("epoch", "global_step")  # in a checkpoint


class Loaded(NamedTuple):
    """A trained run.

    Attributes:
        cfg: its config, overrides applied.
        parts: its data and its model with the trained weights.
        epoch: epochs that the checkpoint was trained.
        step: optimizer steps that it was trained.
    """

    cfg: DictConfig
    parts: Parts
    epoch: int
    step: int


def load(folder: RunFolder, checkpoint: str = "best", *, overrides: Sequence[str] = ()) -> Loaded:
    """The data and the trained model of a run.

    Args:
        folder: of the run.
        checkpoint: best or last.
        overrides: keys that differ now, such as ``trainer.accelerator=cpu`` or ``data.path=...``.
    """
    trained = folder.read_config()
    cfg = overridden(trained.copy(), overrides)
    check(cfg)
    check_opened(cfg, overrides)
    try:
        check_devices(cfg.trainer.accelerator, 1)
    except BadInput as error:
        raise error.under("trainer") from error
    path = folder.checkpoint(checkpoint)
    try:
        state = read_checkpoint(path)
    except ValueError as error:
        other = "last" if checkpoint == "best" else "best"
        raise BadInput("RUN", folder.path, f"{error}; try --checkpoint {other}") from error
    if "state_dict" not in state or not all(isinstance(state.get(key), int) for key in COUNTS):
        raise BadInput("RUN", folder.path, f"{path.name} is no checkpoint of a run")
    check_trained(state.get(CONFIG), trained)
    parts = build(cfg)
    try:
        parts.module.load_state_dict(state["state_dict"])
    except (RuntimeError, TypeError, AttributeError) as error:
        raise BadInput(
            "RUN", folder.path, "its weights do not fit the model that the config and the overrides build"
        ) from error
    return Loaded(cfg, parts, state["epoch"] + 1, state["global_step"])


def overridden(cfg: DictConfig, overrides: Sequence[str]) -> DictConfig:
    """`cfg` with KEY=VALUE overrides; a key that is not in it is refused."""
    OmegaConf.set_struct(cfg, True)
    for override in overrides:
        key, equals, value = override.partition("=")
        if not equals:
            raise BadInput("override", override, "must be KEY=VALUE")
        try:
            cfg.merge_with_dotlist([override])
        except OmegaConfBaseException as error:
            nearest = difflib.get_close_matches(key, flat(cfg), n=1)
            hint = f"; did you mean {nearest[0]}?" if nearest else ""
            raise BadInput(key, value, f"there is no such key in the run's config{hint}") from error
        except yaml.YAMLError as error:
            raise BadInput(key, value, "cannot be read; lists are [1,2]") from error
    return cfg


def evaluate(path: Path, *, checkpoint: str = "best", overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Test metrics of a run's checkpoint, and whether the data are those it was trained on.

    Returns:
        ``test/...`` metrics, ``epoch`` and ``step`` of the checkpoint, and ``same_data``.
    """
    quiet()
    folder = RunFolder.open(path)
    cfg, parts, epoch, step = load(folder, checkpoint, overrides=overrides)
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
    garbage.go_on()
    (metrics,) = trainer.test(parts.module, datamodule=parts.data, verbose=False)
    provenance = folder.read_json(folder.provenance) if folder.provenance.is_file() else {}
    recorded = provenance.get("data")
    trained_on = recorded if isinstance(recorded, dict) else {}
    now = parts.data.describe()
    same = all(trained_on.get(key) == now[key] for key in ("fingerprint", "split_fingerprint"))
    return {**metrics, "epoch": epoch, "step": step, "same_data": same}
