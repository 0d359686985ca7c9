"""Whether a run can go on: it is refused before anything in its folder changes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig
from torch import Tensor

from isthmus.core.errors import BadInput
from isthmus.runs.build import Parts
from isthmus.runs.configs import check_trained
from isthmus.runs.drive import devices_of
from isthmus.runs.folder import RunFolder
from isthmus.runs.start import Start
from isthmus.training.callbacks.checkpoints import CONFIG, is_finished
from isthmus.training.metrics_file import first_rows
from isthmus.training.position import check_processes


def check_origin(folder: RunFolder, origin: Mapping[str, Any], parts: Parts) -> None:
    """Raise `BadInput` where the data or the split are not those that the run was trained on.

    Args:
        folder: of the run.
        origin: its provenance.json; empty where a kill came before it.
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


def check_start(folder: RunFolder, start: Start, cfg: DictConfig, parts: Parts) -> None:
    """Raise `BadInput` where a config cannot go on from a checkpoint.

    Args:
        folder: of the run.
        start: its checkpoint.
        cfg: its config, overrides applied.
        parts: built from it.
    """
    check_trained(start.checkpoint.get(CONFIG), cfg)
    _check_limits(folder, start, cfg)
    weights = start.checkpoint["state_dict"]
    try:
        if not all(isinstance(weight, Tensor) for weight in weights.values()):
            raise TypeError
        parts.module.load_state_dict(weights)
    except (RuntimeError, TypeError, AttributeError) as error:
        raise BadInput(
            "RUN",
            folder.path,
            f"the weights in {start.path.name} do not fit the model that its config builds",
        ) from error
    first_rows(folder.metrics, start.checkpoint["logs"].get("metrics", 0))


def _check_limits(folder: RunFolder, start: Start, cfg: DictConfig) -> None:
    begun = start.epoch + bool(start.place["batch"])
    for name, limit, made in (
        ("epochs", cfg.trainer.max_epochs, begun),
        ("steps", cfg.trainer.max_steps, start.step),
    ):
        if 0 <= limit < made:
            raise BadInput(
                f"trainer.max_{name}", limit, f"is fewer than the {made} {name} that it was trained"
            )
    trainer = cfg.trainer
    limits = {"max_epochs": trainer.max_epochs, "max_steps": trainer.max_steps}
    if folder.is_done and is_finished(start.checkpoint, **limits):
        reached = "max_steps" if 0 <= trainer.max_steps <= start.step else "max_epochs"
        fix = f"is done; to train it further, give trainer.{reached}=N above {limits[reached]}"
        raise BadInput("RUN", folder.path, fix)
    check_processes(start.place, devices_of(cfg) * cfg.trainer.num_nodes)
