"""Train a run again from its own folder, and compare."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import DictConfig

from isthmus.core.errors import BadInput
from isthmus.runs.build import build_data
from isthmus.runs.compare import Record, compare, read_record
from isthmus.runs.compose import is_follower
from isthmus.runs.configs import changed, check_trained, flat, is_neutral, typed_overrides
from isthmus.runs.differences import Difference, differences
from isthmus.runs.drive import devices_of
from isthmus.runs.errors import command_line
from isthmus.runs.evaluate import overridden
from isthmus.runs.folder import RunFolder
from isthmus.runs.provenance import environment
from isthmus.runs.reading import check_opened
from isthmus.runs.rules import check
from isthmus.runs.threads import threads_restored, threads_to_restore
from isthmus.runs.train import train
from isthmus.runs.verdict import Verdict, judge
from isthmus.training.trainer import quiet, threads_of

REPRODUCTION = "reproduction.json"
DEFAULT_EXPERIMENT = "reproduced"


class Plan(NamedTuple):
    """A reproduction that can begin.

    Attributes:
        original: the run that is reproduced.
        record: what it came to.
        provenance: where it came from.
        cfg: the config that is trained.
        path: of the new folder.
        experiment: that the new run belongs to.
        typed: overrides of the original, and after them those of today.
        changed: keys that change the experiment: then and now.
        threads: CPU threads of each process, as the original had; None: as the config says.
        known: what differs before anything is trained.
        free: whether a GPU may round differently from run to run.
    """

    original: RunFolder
    record: Record
    provenance: Mapping[str, Any]
    cfg: DictConfig
    path: Path
    experiment: str
    typed: Sequence[str]
    changed: Mapping[str, tuple[Any, Any]]
    threads: int | None
    known: Sequence[Difference]
    free: bool


def prepare(path: Path, *, overrides: Sequence[str] = (), to: Path | None = None) -> Plan:
    """Read the original, refuse what cannot be reproduced, and tell what differs already.

    Args:
        path: of the original's folder.
        overrides: KEY=VALUE, keys that differ now.
        to: the new folder; None for one below outputs/.

    Raises:
        BadInput: for what the person can mend.
    """
    quiet()
    original = RunFolder.open(path)
    _check_done(original)
    if to is not None and to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise BadInput("--to", to, "is not empty, and nothing is overwritten; give another folder")
    trained = original.read_config()
    record = read_record(original)
    cfg = overridden(trained.copy(), overrides)
    check(cfg)
    check_trained(record.config, trained)
    check_opened(cfg, overrides)
    devices = devices_of(cfg)
    processes = devices * cfg.trainer.num_nodes
    provenance = original.read_json(original.provenance) if original.provenance.is_file() else {}
    threads = threads_to_restore(cfg, provenance, processes=processes)
    now = environment(
        threads=threads or threads_of(cfg.trainer.threads, processes=devices), processes=processes
    )
    changes = _changes(flat(trained), flat(cfg))
    known = {**now, "seed": cfg.seed, "data": build_data(cfg).describe()}
    experiment = experiment_name(provenance)
    return Plan(
        original=original,
        record=record,
        provenance=provenance,
        cfg=cfg,
        path=to or _new_path(experiment),
        experiment=experiment,
        typed=[*typed_overrides(original), *overrides],
        changed=changes,
        threads=threads,
        known=_found(provenance, known, changes),
        free=bool(now["hardware"]["gpus"])
        and cfg.trainer.accelerator != "cpu"
        and not cfg.trainer.deterministic,
    )


def reproduce(plan: Plan, *, tolerance: float) -> tuple[RunFolder, Verdict] | None:
    """Train, compare, and leave reproduction.json in the new folder.

    Args:
        plan: what `prepare` made.
        tolerance: relative, of each final metric.

    Returns:
        The new run and the verdict; None in a process that only helped to train.
    """
    helps = is_follower()
    with threads_restored(plan.threads):
        folder = train(
            plan.cfg, None if helps else plan.path, overrides=plan.typed, experiment=plan.experiment
        )
    if helps:
        return None
    verdict = judge(
        compare(plan.record, read_record(folder)),
        _found(plan.provenance, folder.read_json(folder.provenance), plan.changed),
        changed=plan.changed,
        tolerance=tolerance,
    )
    folder.write_json(
        folder.path / REPRODUCTION,
        {
            "original": str(plan.original.path.resolve()),
            "reproduced": str(folder.path.resolve()),
            **verdict.as_json(),
        },
    )
    return folder, verdict


def experiment_name(provenance: Mapping[str, Any]) -> str:
    """The recorded experiment where it is a plain name: it becomes the name of a folder."""
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


def _found(
    original: Mapping[str, Any], now: Mapping[str, Any], changed: Mapping[str, Any]
) -> list[Difference]:
    """What differs besides the keys that were changed on purpose, of which the seed is recorded twice."""
    return [difference for difference in differences(original, now) if difference.what not in changed]


def _changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    return {key: values for key, values in changed(before, after).items() if not is_neutral(key)}


def _new_path(experiment: str) -> Path:
    name = f"{time.strftime('%Y-%m-%d_%H-%M-%S')}_{uuid.uuid4().hex[:6]}"
    return Path("outputs") / experiment / name
