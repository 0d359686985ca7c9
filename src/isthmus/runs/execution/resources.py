"""The processes and threads that train a run, resolved once from its config and this machine."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from omegaconf import DictConfig, OmegaConf

from isthmus.common.errors import BadInput
from isthmus.runs.folder.provenance import recorded_threads
from isthmus.training import distributed
from isthmus.training.devices import check_devices, device_type, threads_of


class Resources(NamedTuple):
    """Processes and threads.

    Attributes:
        devices: training processes on this machine.
        processes: training processes on all machines.
        threads: CPU threads of each.
        restored: whether `threads` is the count of an earlier run. The number of threads sets the order of
            summation, and so the exact results.
    """

    devices: int
    processes: int
    threads: int
    restored: bool

    @contextmanager
    def in_environment(self) -> Iterator[None]:
        """Set a restored thread count for this process and its children."""
        before = os.environ.get("OMP_NUM_THREADS")
        if self.restored:
            os.environ["OMP_NUM_THREADS"] = str(self.threads)
        try:
            yield
        finally:
            os.environ.pop("OMP_NUM_THREADS", None)
            if before is not None:
                os.environ["OMP_NUM_THREADS"] = before


def resolve_resources(cfg: DictConfig, provenance: Mapping[str, Any] | None = None) -> Resources:
    """Resolve the devices, processes and threads of a run.

    Args:
        cfg: the config to train.
        provenance: of an earlier run, whose thread count is restored unless `cfg` sets one.

    Raises:
        BadInput: for unavailable devices, and settings that they do not support.
    """
    trainer = cfg.trainer
    wanted = (
        OmegaConf.to_container(trainer.devices) if OmegaConf.is_list(trainer.devices) else trainer.devices
    )
    devices = check_devices(trainer.accelerator, wanted)
    if trainer.num_nodes > 1 and distributed.cluster() is None:
        raise BadInput(
            "trainer.num_nodes",
            trainer.num_nodes,
            "needs torchrun or srun to start the processes on each machine",
        )
    _check_abilities(cfg, device_type(trainer.accelerator))
    processes = devices * trainer.num_nodes
    recorded = recorded_threads(provenance or {}, processes=processes) if trainer.threads is None else None
    threads = (
        threads_of(trainer.threads, processes=devices)
        if recorded is None
        else min(recorded, os.cpu_count() or 1)
    )
    return Resources(devices, processes, threads, restored=recorded is not None)


def _check_abilities(cfg: DictConfig, device: str) -> None:
    """Refuse settings that this type of device does not support."""
    keys = cfg.trainer
    if device == "cpu" and keys.precision == "16-mixed":
        raise BadInput("trainer.precision", keys.precision, "needs a GPU; on the CPU there is bf16-mixed")
    if device != "cpu" and keys.deterministic and keys.compile:
        fix = "use trainer.deterministic=false or trainer.compile=false"
        raise BadInput("trainer.compile", True, f"does not promise deterministic results on a GPU; {fix}")
    compiler = os.environ.get("CXX") or ("clang++" if sys.platform == "darwin" else "g++")
    if device == "cpu" and keys.compile and sys.platform != "win32" and shutil.which(compiler) is None:
        raise BadInput(
            "trainer.compile", True, f"needs a C++ compiler; install {compiler}, or name one in CXX"
        )
