"""Train from a config: build, record, fit, test."""

from __future__ import annotations

import glob
import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from isthmus.common.atomic_files import discard_empty, write_text
from isthmus.data.tables.opening import WILD
from isthmus.runs.config.build import Parts
from isthmus.runs.config.validation import check, check_literal
from isthmus.runs.execution.launch import launch
from isthmus.runs.execution.reopening import reopen
from isthmus.runs.execution.resources import Resources, resolve_resources
from isthmus.runs.execution.restart import Start
from isthmus.runs.execution.slurm import requeued
from isthmus.runs.folder.provenance import provenance
from isthmus.runs.folder.run_folder import RunFolder
from isthmus.training.distributed import cluster


def train(
    cfg: DictConfig,
    path: Path | None,
    *,
    overrides: Sequence[str] = (),
    experiment: str = "unnamed",
    reproduces: Mapping[str, Any] | None = None,
    resources: Resources | None = None,
) -> RunFolder:
    """Train, test and record one run.

    All checks run before the folder is created. A Slurm job that was preempted and requeued resumes the run
    that it started.

    Args:
        cfg: the composed config, without the hydra section.
        path: the run folder, which must be new or empty; None in a process that torchrun or Slurm started
            with a rank above 0: it joins the run of rank 0.
        overrides: as typed by the user, to be recorded.
        experiment: name of the experiment, to be recorded.
        reproduces: the run to compare with, to be recorded (see `runs.comparison.original`).
        resources: resolved from `cfg`; None to resolve them here.

    Raises:
        BadInput: for an error that the user can fix.
        TrainingDiverged: if the loss is no longer finite.
        RunFailed: if a process that was started for this run failed, or the disk did.
        Stopped: if a signal stopped training.
    """
    check(cfg)
    if path is None:
        return launch(cfg, resources or resolve_resources(cfg), None)
    earlier = requeued(_anchored(cfg.copy()), path)
    if earlier is not None:
        discard_empty(path, path.parent)
        if earlier.is_done and cluster() is None:
            return earlier

    found = resources or resolve_resources(cfg, earlier.read_provenance() if earlier else None)

    def begin(stack: ExitStack, parts: Parts) -> tuple[RunFolder, Start | None]:
        _anchored(cfg)
        if earlier is not None:
            return reopen(stack, earlier, cfg, found, parts, ())
        return _record(stack, path, cfg, found, parts, overrides, experiment, reproduces), None

    return launch(cfg, found, begin)


def _anchored(cfg: DictConfig) -> DictConfig:
    """Make relative data paths in `cfg` absolute, in place, so that the run works from any folder."""
    for key, value in cfg.data.items():
        if key not in ("path", "val_path", "test_path", "root", "labels") or not isinstance(value, str):
            continue
        if os.path.exists(value):
            place = str(Path(value).resolve())
        elif WILD & set(value) and not value.startswith("~"):
            place = str(Path(glob.escape(os.getcwd()), value))  # as it is if it is absolute
        else:
            continue
        check_literal(place, f"data.{key}")
        cfg.data[key] = place
    return cfg


def _record(
    stack: ExitStack,
    path: Path,
    cfg: DictConfig,
    resources: Resources,
    parts: Parts,
    overrides: Sequence[str],
    experiment: str,
    reproduces: Mapping[str, Any] | None,
) -> RunFolder:
    folder = RunFolder.create(path, key="name" if path.name == str(cfg.get("name")) else "hydra.run.dir")
    try:
        stack.enter_context(folder.held())
        write_text(folder.overrides, OmegaConf.to_yaml(OmegaConf.create(list(overrides))))
        record = provenance(
            seed=cfg.seed,
            data=parts.data.describe(),
            experiment=experiment,
            threads=resources.threads,
            processes=resources.processes,
        )
        if reproduces is not None:
            record["reproduces"] = reproduces
        folder.write_json(folder.provenance, record)
        # written last: a folder without it contains nothing worth keeping
        write_text(folder.config, OmegaConf.to_yaml(cfg, resolve=True))
    except BaseException:  # a full disk, or Ctrl+C: nothing is worth keeping yet
        folder.remove()
        raise
    return folder
