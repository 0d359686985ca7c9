"""Slurm's preemption: a job that is put into the queue again runs the same command, and finds its run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from isthmus.core.errors import BadInput
from isthmus.runs.folder import RunFolder


def job_id() -> str | None:
    """The Slurm job that this process belongs to; each task of an array is a job."""
    return os.environ.get("SLURM_JOB_ID")


def requeued(cfg: DictConfig, path: Path) -> RunFolder | None:
    """The run that this job began before it was put into the queue again, or None.

    Args:
        cfg: of the run that the command asks for, paths anchored.
        path: where it would go; the earlier one is there or beside it.
    """
    if not int(os.environ.get("SLURM_RESTART_COUNT") or 0):
        return None
    wanted = OmegaConf.to_container(cfg, resolve=True)
    ours = (_run(place) for place in [path, *_siblings(path)] if _job_of(place) == job_id())
    return next((run for run in ours if run and OmegaConf.to_container(run.read_config()) == wanted), None)


def _siblings(path: Path) -> Iterator[Path]:
    return (status.parent for status in sorted(path.parent.glob("*/status.json"), reverse=True))


def _job_of(place: Path) -> Any:
    try:
        return RunFolder.read_json(place / "status.json").get("job")
    except (BadInput, OSError):
        return None


def _run(place: Path) -> RunFolder | None:
    try:
        return RunFolder.open(place)
    except BadInput:
        return None  # it was killed before its config was written
