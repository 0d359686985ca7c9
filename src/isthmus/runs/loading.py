"""Load the trained model of a run from its folder, with its data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from omegaconf import DictConfig

from isthmus.common.errors import BadInput
from isthmus.runs.config.build import Parts, build
from isthmus.runs.config.keys import check_trained
from isthmus.runs.config.overrides import apply_overrides
from isthmus.runs.config.validation import check
from isthmus.runs.folder.checkpoints import read_checkpoint
from isthmus.runs.folder.run_folder import RunFolder
from isthmus.runs.run_data import load_data
from isthmus.training.checkpoint.validation import check_weights
from isthmus.training.devices import check_devices


class Loaded(NamedTuple):
    """A trained run.

    Attributes:
        cfg: its config with the overrides applied.
        parts: its data, and its model with the trained weights.
        checkpoint: best or last: the checkpoint that the weights come from.
        damage: why best could not be read, if last was loaded instead; or None.
        epoch: number of epochs trained.
        step: number of optimizer steps trained.
        trained_on: the description of the training data in the provenance; empty if there is none.
        leaked: number of test rows that the model was trained on or chosen by.
    """

    cfg: DictConfig
    parts: Parts
    checkpoint: str
    damage: str | None
    epoch: int
    step: int
    trained_on: Mapping[str, Any]
    leaked: int


def load(folder: RunFolder, checkpoint: str | None = None, *, overrides: Sequence[str] = ()) -> Loaded:
    """Load the data and the trained model of a run.

    Args:
        folder: the run folder.
        checkpoint: best or last; None: best, or last if best is damaged.
        overrides: changes of the config, such as ``trainer.accelerator=cpu`` or ``data.path=...``.
    """
    trained = folder.read_config()
    cfg = apply_overrides(trained.copy(), overrides)
    check(cfg)
    check_devices(cfg.trainer.accelerator, 1)
    state, damage = read_checkpoint(folder, checkpoint)
    check_trained(state.config, trained)
    cfg, data, trained_on, leaked = load_data(folder, overrides=overrides)
    parts = build(cfg, data)
    try:
        check_weights(state.content, parts.module)
    except ValueError as error:
        raise BadInput(
            "RUN",
            folder.path,
            f"its weights do not fit the model that the config and the overrides build: {error}",
        ) from error
    parts.module.load_weights(state.weights, epoch=state.epoch, step=state.step)
    return Loaded(cfg, parts, state.path.stem, damage, state.epoch, state.step, trained_on, leaked)
