"""Train a run again from its own folder, and compare the two."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import DictConfig

from isthmus.common.errors import BadInput
from isthmus.common.messages import command_line, relative
from isthmus.runs.comparison.original import (
    Original,
    changes_between,
    conclude,
    differences_between,
    read_original,
    reference,
)
from isthmus.runs.comparison.provenance_diff import Difference
from isthmus.runs.comparison.verdict import Verdict
from isthmus.runs.config.compose import is_follower
from isthmus.runs.config.data import build_data
from isthmus.runs.config.destinations import check_opened
from isthmus.runs.config.overrides import apply_overrides
from isthmus.runs.config.validation import check
from isthmus.runs.execution.resources import Resources, resolve_resources
from isthmus.runs.execution.slurm import was_requeued
from isthmus.runs.folder.provenance import environment
from isthmus.runs.folder.run_folder import RunFolder
from isthmus.runs.train import train
from isthmus.training.trainer import quiet

DEFAULT_EXPERIMENT = "reproduced"


class Plan(NamedTuple):
    """A reproduction, checked and ready to start.

    Attributes:
        original: the run to reproduce.
        cfg: the config to train.
        path: the new run folder.
        experiment: the experiment of the new run.
        typed: overrides of the original, followed by the new ones.
        changed: keys that change the experiment: old and new value.
        resources: devices, processes and threads to train with; as many threads as the original had.
        known: differences that are known before training.
        free: whether training is non-deterministic on a GPU.
    """

    original: Original
    cfg: DictConfig
    path: Path
    experiment: str
    typed: Sequence[str]
    changed: Mapping[str, tuple[Any, Any]]
    resources: Resources
    known: Sequence[Difference]
    free: bool


def prepare(path: Path, *, overrides: Sequence[str] = (), to: Path | None = None) -> Plan:
    """Read the original, check that it can be reproduced, and list the differences known before training.

    Args:
        path: the original's run folder.
        overrides: KEY=VALUE strings that change the config.
        to: the new run folder; None for one below outputs/.

    Raises:
        BadInput: for an error that the user can fix.
    """
    quiet()
    folder = RunFolder.open(path)
    _check_done(folder)
    if to is not None and not RunFolder(to).is_free and not was_requeued():
        raise RunFolder(to).taken("--to")
    original = read_original(folder)
    cfg = apply_overrides(original.config.copy(), overrides)
    check(cfg)
    check_opened(cfg, overrides)
    provenance = original.provenance
    resources = resolve_resources(cfg, provenance)
    now = environment(threads=resources.threads, processes=resources.processes)
    changes = changes_between(original.config, cfg)
    known = {**now, "seed": cfg.seed, "data": build_data(cfg).describe()}
    experiment = experiment_name(provenance)
    return Plan(
        original=original,
        cfg=cfg,
        path=to or _new_path(experiment),
        experiment=experiment,
        typed=[*folder.read_overrides(), *overrides],
        changed=changes,
        resources=resources,
        known=differences_between(provenance, known, changes),
        free=bool(now["hardware"]["gpus"])
        and cfg.trainer.accelerator != "cpu"
        and not cfg.trainer.deterministic,
    )


def reproduce(plan: Plan, *, tolerance: float) -> tuple[RunFolder, Verdict] | None:
    """Train, compare, and write reproduction.json to the new folder.

    Args:
        plan: returned by `prepare`.
        tolerance: relative tolerance of each final metric.

    Returns:
        The new run and the verdict; None in a follower process (see `is_follower`).

    Raises:
        BadInput: for an error that the user can fix. If the verdict cannot be written, the new run is kept.
    """
    helps = is_follower()
    folder = train(
        plan.cfg,
        None if helps else plan.path,
        overrides=plan.typed,
        experiment=plan.experiment,
        reproduces=reference(plan.original.folder, tolerance=tolerance),
        resources=plan.resources,
    )
    if helps:
        return None
    try:
        return folder, conclude(folder, plan.original, tolerance=tolerance)
    except OSError as error:
        again = command_line("isthmus", "resume", relative(folder.path))
        fix = f"cannot be written ({error.strerror}); to compare once more: {again}"
        raise BadInput("RUN", relative(folder.reproduction), fix) from error


def experiment_name(provenance: Mapping[str, Any]) -> str:
    """The recorded experiment, or a default if it is not a plain name: it becomes a folder name."""
    name = provenance.get("experiment")
    plain = isinstance(name, str) and re.fullmatch(r"[A-Za-z0-9_.-]{1,100}", name) and name.strip(".")
    return str(name) if plain else DEFAULT_EXPERIMENT


def _check_done(folder: RunFolder) -> None:
    status = folder.read_status().get("status")
    if status == "done":
        return
    fix = (
        "is still running; wait for its end"
        if status == "running"
        else f"is not done but {status}; finish it first: {command_line('isthmus', 'resume', folder.path)}"
    )
    raise BadInput("RUN", folder.path, fix)


def _new_path(experiment: str) -> Path:
    name = f"{time.strftime('%Y-%m-%d_%H-%M-%S')}_{uuid.uuid4().hex[:6]}"
    return Path("outputs") / experiment / name
