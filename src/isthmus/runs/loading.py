"""Load the data and the trained model of a run from its folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from omegaconf import DictConfig

from isthmus.common.errors import BadInput
from isthmus.runs.config.build import Parts, build
from isthmus.runs.config.destinations import check_opened
from isthmus.runs.config.keys import check_trained
from isthmus.runs.config.overrides import apply_overrides
from isthmus.runs.config.validation import check
from isthmus.runs.folder.run_folder import RunFolder
from isthmus.training.checkpoint.content import Checkpoint
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
    """

    cfg: DictConfig
    parts: Parts
    checkpoint: str
    damage: str | None
    epoch: int
    step: int
    trained_on: Mapping[str, Any]


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
    check_opened(cfg, overrides)
    check_devices(cfg.trainer.accelerator, 1)
    state, damage = _read(folder, checkpoint)
    check_trained(state.config, trained)
    recorded = folder.read_provenance().get("data")
    trained_on = recorded if isinstance(recorded, dict) else {}
    parts = _build(cfg, trained_on.get("columns"), overrides)
    try:
        check_weights(state.content, parts.module)
    except ValueError as error:
        raise BadInput(
            "RUN",
            folder.path,
            f"its weights do not fit the model that the config and the overrides build: {error}",
        ) from error
    parts.module.load_weights(state.weights, epoch=state.epoch, step=state.step)
    return Loaded(cfg, parts, state.path.stem, damage, state.epoch, state.step, trained_on)


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


def _read(folder: RunFolder, checkpoint: str | None) -> tuple[Checkpoint, str | None]:
    """The checkpoint to use, and why best is damaged if last replaces it."""
    path = folder.checkpoint(checkpoint or "best")
    other = path.with_stem("best" if checkpoint == "last" else "last")
    try:
        return Checkpoint.read(path), None
    except (OSError, ValueError) as error:
        if not other.is_file():
            raise BadInput("RUN", folder.path, str(error)) from error
        if checkpoint is not None:
            raise BadInput("RUN", folder.path, f"{error}; try --checkpoint {other.stem}") from error
        damage = str(error)
    try:
        return Checkpoint.read(other), damage
    except (OSError, ValueError) as error:
        raise BadInput("RUN", folder.path, f"{damage}; {error}") from error
