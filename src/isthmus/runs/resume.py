"""Resume a run that was stopped, killed or failed, in its own folder."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from omegaconf import DictConfig

from isthmus.common.errors import BadInput
from isthmus.runs.config.build import Parts
from isthmus.runs.config.compose import is_follower
from isthmus.runs.config.destinations import check_opened
from isthmus.runs.config.keys import CHANGEABLE
from isthmus.runs.config.overrides import apply_overrides
from isthmus.runs.config.validation import check
from isthmus.runs.execution.launch import launch
from isthmus.runs.execution.reopening import reopen
from isthmus.runs.execution.resources import resolve_resources
from isthmus.runs.execution.restart import Start
from isthmus.runs.folder.migrations import RESUMABLE
from isthmus.runs.folder.run_folder import RunFolder


def resume(path: Path, *, overrides: Sequence[str] = ()) -> RunFolder:
    """Train the rest of a run as if it had never been interrupted.

    Args:
        path: the run folder.
        overrides: new values of trainer and callbacks keys, such as ``trainer.max_epochs=40``.

    Raises:
        BadInput: for an error that the user can fix.
        TrainingDiverged, RunFailed, Stopped: as `train` does.
    """
    folder = RunFolder.open(path)
    if folder.is_done and not overrides:
        return folder
    if folder.format < RESUMABLE:
        raise BadInput(
            "RUN", path, f"has format {folder.format}, whose checkpoints cannot be resumed; train it again"
        )
    cfg = _config(folder, overrides)
    resources = resolve_resources(cfg, folder.read_provenance())

    def begin(stack: ExitStack, parts: Parts) -> tuple[RunFolder, Start | None]:
        return reopen(stack, folder, cfg, resources, parts, overrides)

    return launch(cfg, resources, None if is_follower() else begin)


def _config(folder: RunFolder, overrides: Sequence[str]) -> DictConfig:
    for override in overrides:
        key, equals, value = override.partition("=")
        if equals and not key.startswith(CHANGEABLE):
            raise BadInput(
                key, value, "cannot change in the middle of a run; isthmus train starts another one with it"
            )
    cfg = apply_overrides(folder.read_config(), overrides)
    check(cfg)
    check_opened(cfg, overrides)
    return cfg
