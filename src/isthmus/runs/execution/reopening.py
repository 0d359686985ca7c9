"""Prepares the folder of an interrupted run for resuming."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack

from omegaconf import DictConfig, OmegaConf

from isthmus.common.atomic_files import same_content, sweep, write_text
from isthmus.common.errors import BadInput
from isthmus.runs.comparison.provenance_diff import differences
from isthmus.runs.config.build import Parts
from isthmus.runs.execution.resources import Resources
from isthmus.runs.execution.restart import Start, newest, rewind
from isthmus.runs.execution.resume_checks import check_origin, check_start
from isthmus.runs.folder.migrations import FORMAT
from isthmus.runs.folder.provenance import environment
from isthmus.runs.folder.run_folder import RunFolder
from isthmus.runs.folder.untrusted import FOLDERS, check_inside


def reopen(
    stack: ExitStack,
    folder: RunFolder,
    cfg: DictConfig,
    resources: Resources,
    parts: Parts,
    overrides: Sequence[str],
) -> tuple[RunFolder, Start | None]:
    """Prepare a folder for resuming: lock it, check the data, truncate the logs to the newest checkpoint.

    Args:
        stack: releases the lock when it is closed.
        folder: the run folder.
        cfg: its config with the overrides applied.
        resources: resolved from `cfg`.
        parts: built from `cfg`.
        overrides: recorded in the provenance.

    Returns:
        The folder and its checkpoints; None if it has none yet.
    """
    check_inside(folder.path)
    stack.enter_context(folder.held())
    origin = folder.read_provenance()
    start = newest(folder)
    # run all checks before the folder is changed
    check_origin(folder, origin, parts)
    if start is None and folder.is_done:
        raise BadInput("RUN", folder.path, "is done, and has lost its checkpoints; train it again")
    if start is not None:
        check_start(folder, start, cfg, parts, overrides, processes=resources.processes)
        for damage in start.damaged.values():
            print(f"{damage}; {start.checkpoint.path.name} takes its place", flush=True)
        if start.checkpoint.path.stem != "last" and not start.damaged:
            print(f"last.ckpt is missing; {start.checkpoint.path.name} takes its place", flush=True)
    if folder.format < FORMAT:  # the status below has the newest format
        write_text(folder.config, OmegaConf.to_yaml(folder.read_config(), resolve=True))
    folder.write_status("running")
    sweep(folder.path, *FOLDERS)
    if start is not None and start.checkpoint.path.stem != "last":
        # killed between writing the two, perhaps at the end
        same_content(start.checkpoint.path, folder.checkpoints / "last.ckpt")
    rewind(folder, start)
    if overrides:
        write_text(folder.config, OmegaConf.to_yaml(cfg, resolve=True))
    epoch, step = (start.position.epoch, start.position.step) if start else (0, 0)
    now = environment(threads=resources.threads, processes=resources.processes)
    entry = {
        "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "epoch": epoch,
        "step": step,
        "overrides": list(overrides),
        **{key: value for key, value in now.items() if key == "command" or origin.get(key) != value},
    }
    rounds = [
        str(difference)
        for difference in differences({**origin, "resumed": []}, now)
        if difference.rounds or difference.what == "torch"
    ]
    if rounds:
        print(f"the rest may have other bits than an uninterrupted run: {'; '.join(rounds)}", flush=True)
    # the run may have been killed before it wrote its provenance
    origin = origin or {**now, "seed": cfg.seed, "data": parts.data.describe()}
    folder.write_json(folder.provenance, {**origin, "resumed": [*origin.get("resumed", []), entry]})
    print(f"resuming at epoch {epoch + 1}, step {step}", flush=True)
    return folder, start
