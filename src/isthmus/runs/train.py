"""Train from a config: build, record, fit, test."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from isthmus.core.atomic import write_text
from isthmus.core.errors import BadInput
from isthmus.runs.build import Parts, build
from isthmus.runs.errors import RunFailed, Stopped
from isthmus.runs.fit import fit_and_test
from isthmus.runs.folder import RunFolder
from isthmus.runs.provenance import provenance
from isthmus.runs.rules import check
from isthmus.training import distributed
from isthmus.training.trainer import check_devices, quiet, set_threads


def train(cfg: DictConfig, path: Path | None, *, overrides: Sequence[str] = ()) -> RunFolder:
    """Train, test and record one run.

    Everything that can be refused is refused before the folder is made.

    Args:
        cfg: the composed config, without the hydra section.
        path: the run folder, which must be new or empty; None in a process that torchrun or Slurm
            started as another than the first, which joins the first one's run.
        overrides: what the person typed, for the record.

    Raises:
        BadInput: for what the person can mend.
        TrainingDiverged: when the loss is no longer finite.
        RunFailed: when a process that was started for this run failed.
    """
    check(cfg)
    quiet()
    devices = _devices(cfg)
    cluster = distributed.cluster()
    if cluster is None:
        assert path is not None
        set_threads(cfg.trainer.threads, processes=1)
        parts = build(cfg)
        folder = _record(path, cfg, parts, overrides)
        if devices == 1:
            fit_and_test(cfg, parts, folder)
        else:
            del parts  # each process builds its own
            _train_together(folder, devices)
        return folder
    distributed.check_world(cluster, devices=devices, num_nodes=cfg.trainer.num_nodes)
    set_threads(cfg.trainer.threads, processes=devices)
    parts = build(cfg)
    distributed.join(cluster)
    made = None
    try:
        if path is not None:
            made = _record(path, cfg, parts, overrides)
    finally:
        agreed = distributed.agree(made.path if made else None)
    if agreed is None:
        raise SystemExit(2)  # the first process says why
    folder = RunFolder(agreed)
    fit_and_test(cfg, parts, folder)
    return folder


def _devices(cfg: DictConfig) -> int:
    trainer = cfg.trainer
    devices = (
        OmegaConf.to_container(trainer.devices) if OmegaConf.is_list(trainer.devices) else trainer.devices
    )
    try:
        count = check_devices(trainer.accelerator, devices)
    except BadInput as error:
        raise error.under("trainer") from error
    if trainer.num_nodes > 1 and distributed.cluster() is None:
        raise BadInput(
            "trainer.num_nodes",
            trainer.num_nodes,
            "needs torchrun or srun to start the processes on each machine",
        )
    return count


def _anchor_paths(cfg: DictConfig) -> None:
    """Relative paths of data as absolute ones, so that the run folder works from any folder."""
    for key, value in cfg.data.items():
        if key in ("path", "root", "labels") and isinstance(value, str) and Path(value).exists():
            cfg.data[key] = str(Path(value).resolve())


def _record(path: Path, cfg: DictConfig, parts: Parts, overrides: Sequence[str]) -> RunFolder:
    folder = RunFolder.create(path)
    _anchor_paths(cfg)
    folder.write_status("running")
    write_text(folder.config, OmegaConf.to_yaml(cfg, resolve=True))
    write_text(folder.overrides, OmegaConf.to_yaml(OmegaConf.create(list(overrides))))
    folder.write_json(folder.provenance, provenance(seed=cfg.seed, data=parts.data.describe()))
    return folder


def _train_together(folder: RunFolder, processes: int) -> None:
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    try:
        distributed.launch(_worker, str(folder.path), processes=processes)
    except ChildFailedError as error:
        status = folder.read_json(folder.status)
        if status["status"] != "failed":  # killed before it could say so
            folder.write_status("failed", error=str(error))
            raise RunFailed(f"a process was killed: {error.get_first_failure()[1].message}") from None
        raise RunFailed(status["error"]) from None
    except SignalException as error:
        if folder.read_json(folder.status)["status"] != "stopped":  # as the processes say, and where
            folder.write_status("stopped")
        raise Stopped(error.sigval) from error


def _worker(path: str) -> None:
    """One of the processes that train a run together."""
    folder = RunFolder(Path(path))
    cfg = folder.read_config()
    quiet()
    cluster = distributed.cluster()
    assert cluster is not None
    try:
        set_threads(cfg.trainer.threads, processes=cluster.world_size())
        distributed.join(cluster)
        fit_and_test(cfg, build(cfg), folder)
    except Exception as error:
        folder.write_failure(error)
        sys.exit(1)
