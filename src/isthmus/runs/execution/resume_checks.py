"""Check that a run can be resumed, before anything in its folder changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from omegaconf import DictConfig

from isthmus.common.errors import BadInput
from isthmus.runs.config.build import Parts
from isthmus.runs.config.keys import check_trained
from isthmus.runs.execution.restart import Start
from isthmus.runs.folder.run_folder import RunFolder
from isthmus.training.checkpoint.validation import check_state
from isthmus.training.progress import check_processes
from isthmus.training.writers.metrics_csv import first_rows


def check_origin(folder: RunFolder, origin: Mapping[str, Any], parts: Parts) -> None:
    """Raise `BadInput` if the data or the split are not those that the run was trained on.

    Args:
        folder: the run folder.
        origin: its provenance.json; empty if the run was killed before writing it.
        parts: built from its config.
    """
    recorded = origin.get("data", {})
    if not isinstance(recorded, dict) or not isinstance(origin.get("resumed", []), list):
        raise BadInput("RUN", folder.path, "its provenance.json is damaged; train it again")
    now = parts.data.describe()
    for key, what in (("fingerprint", "data"), ("split_fingerprint", "split")):
        if recorded and recorded.get(key) != now[key]:
            raise BadInput(
                "data",
                str(recorded.get(key))[:12],
                f"is the fingerprint of the {what} that the run was trained on; now it is {now[key][:12]}",
            )


def check_start(
    folder: RunFolder,
    start: Start,
    cfg: DictConfig,
    parts: Parts,
    overrides: Sequence[str],
    *,
    processes: int,
) -> None:
    """Raise `BadInput` if a config cannot resume from a checkpoint.

    Args:
        folder: the run folder.
        start: its checkpoints.
        cfg: its config with the overrides applied.
        parts: built from `cfg`.
        processes: that would resume, on all machines.
        overrides: as typed. If all are of the trainer, a finished run must have something left to train.
    """
    for checkpoint in start.readable:
        check_trained(checkpoint.config, cfg)
        try:
            check_state(checkpoint.content, parts.module)
        except ValueError as error:
            raise BadInput(
                "RUN",
                folder.path,
                f"the weights and states in {checkpoint.path.name} do not fit the model that its config "
                f"builds: {error}",
            ) from error
    _check_limits(start, cfg)
    check_processes(start.position, start.point.processes, processes)
    if folder.is_done and overrides and all(each.startswith("trainer.") for each in overrides):
        _check_left(folder, start, cfg)
    first_rows(folder.metrics, start.point.rows)


def _check_limits(start: Start, cfg: DictConfig) -> None:
    begun = start.position.epoch + bool(start.position.batch)
    for name, limit, made in (
        ("epochs", cfg.trainer.max_epochs, begun),
        ("steps", cfg.trainer.max_steps, start.position.step),
    ):
        if 0 <= limit < made:
            raise BadInput(
                f"trainer.max_{name}", limit, f"is fewer than the {made} {name} that it was trained"
            )


def _check_left(folder: RunFolder, start: Start, cfg: DictConfig) -> None:
    """Refuse overrides that leave a finished run nothing to train."""
    limits = {"max_epochs": cfg.trainer.max_epochs, "max_steps": cfg.trainer.max_steps}
    made = {"max_epochs": start.position.epoch, "max_steps": start.position.step}
    reached = [f"trainer.{key}=N above {limits[key]}" for key in limits if 0 <= limits[key] <= made[key]]
    if not reached and not start.point.is_end(**limits):
        return
    fix = " and ".join(reached) or "other limits: it stopped early"
    raise BadInput("RUN", folder.path, f"is done; to train it further, give {fix}")
