"""Slurm preemption: a requeued job runs the same command again, and finds its run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from signal import SIGTERM, SIGUSR1
from typing import Any

from omegaconf import DictConfig, OmegaConf

from isthmus.common.errors import BadInput
from isthmus.runs.folder.provenance import command
from isthmus.runs.folder.run_folder import RunFolder


def job_id() -> str | None:
    """The Slurm job id of this process; each task of an array is a job."""
    return os.environ.get("SLURM_JOB_ID")


def requeue_after(signum: int) -> None:
    """Requeue this job if the signal means that Slurm is ending it.

    `sbatch --signal=USR1@90` sends SIGUSR1 before the time limit. SIGTERM has many causes. One is preemption
    with a grace period: Slurm does not requeue a job that exits within it.

    Args:
        signum: the signal that stopped training.
    """
    if job_id() is None or not (signum == SIGUSR1 or (signum == SIGTERM and _preempted())):
        return
    if (said := _scontrol("requeue", _name())) is None or said.returncode:
        reason = said.stderr.strip() if said else "there is no scontrol here"
        print(f"isthmus: the job is not put into the queue again: {reason}", file=sys.stderr, flush=True)


def _preempted() -> bool:
    said = _scontrol("-o", "show", "job", _name())
    return (
        said is not None
        and "JobState=RUNNING" in said.stdout
        and re.search(r"\bPreemptTime=\d", said.stdout) is not None
    )


def _name() -> str:
    # one task has the id of the whole array as its job id; requeueing that would requeue all tasks
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{task}" if array and task else str(job_id())


def _scontrol(*arguments: str) -> subprocess.CompletedProcess[str] | None:
    try:
        return subprocess.run(["scontrol", *arguments], check=False, capture_output=True, text=True)
    except OSError:  # scontrol is missing, in a container for instance
        return None


def was_requeued() -> bool:
    """Whether this process belongs to a requeued job."""
    return os.environ.get("SLURM_RESTART_COUNT", "0") not in ("", "0")


def requeued(cfg: DictConfig, path: Path) -> RunFolder | None:
    """The run that this job started before it was requeued, or None.

    Args:
        cfg: config of the requested run, with absolute paths.
        path: folder of the requested run; the earlier run is there or in a sibling folder.
    """
    if not was_requeued():
        return None
    wanted = OmegaConf.to_container(cfg, resolve=True)
    ours = (_run(place) for place in [path, *_siblings(path)] if _job_of(place) == job_id())
    return next((run for run in ours if run and _is_that(run, wanted)), None)


def _siblings(path: Path) -> Iterator[Path]:
    """Runs in sibling folders, and jobs of the same number in sibling sweeps."""
    statuses = [*path.parent.glob("*/status.json"), *path.parent.parent.glob(f"*/{path.name}/status.json")]
    return (status.parent for status in sorted(statuses, reverse=True))


def _is_that(run: RunFolder, wanted: Any) -> bool:
    """Whether the same command started a run: a job's script may train a run and then reproduce it."""
    begun = run.read_json(run.provenance).get("command") if run.provenance.is_file() else command()
    return begun == command() and OmegaConf.to_container(run.read_config()) == wanted


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
