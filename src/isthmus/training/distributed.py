"""Several processes that train one model: started here, or by torchrun or Slurm."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterable
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

import torch
import torch.distributed
from lightning_fabric.plugins.environments import (
    ClusterEnvironment,
    SLURMEnvironment,
    TorchElasticEnvironment,
)
from lightning_fabric.utilities.distributed import _init_dist_connection
from torch import Tensor
from torch.multiprocessing import _prctl_pr_set_pdeathsig  # type: ignore[attr-defined]

from isthmus.common.errors import BadInput
from isthmus.training.stop_requests import stop_signals

YEAR = 365 * 24 * 3600  # seconds


def cluster() -> ClusterEnvironment | None:
    """The environment that torchrun or srun made for this process, or None."""
    if TorchElasticEnvironment.detect():
        return TorchElasticEnvironment()
    if started_by_srun():
        try:
            environment = SLURMEnvironment()
        except RuntimeError as error:
            tasks = os.environ["SLURM_NTASKS"]
            raise BadInput("--ntasks", tasks, "must be --ntasks-per-node for srun or sbatch") from error
        return environment if environment.world_size() > 1 else None
    return None


def started_by_srun() -> bool:
    """Whether srun started this process; a batch script has the variables of tasks that were not started."""
    return SLURMEnvironment.detect() and "SLURM_STEP_ID" in os.environ


def check_world(environment: ClusterEnvironment, *, devices: int, num_nodes: int) -> None:
    """Raise `BadInput` where the number of started processes is not that of the config."""
    if environment.world_size() != devices * num_nodes:
        raise BadInput(
            "trainer.devices",
            devices,
            f"times trainer.num_nodes={num_nodes} is not the {environment.world_size()} "
            "processes that were started; make them agree",
        )


def join(environment: ClusterEnvironment) -> None:
    """Initialize the process group, which Lightning then uses.

    It has a CPU backend besides the GPU's, so that a path can be broadcast before any GPU is used.
    """
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    _init_dist_connection(environment, backend)


def agree(path: Path | None) -> Path | None:
    """Broadcast the path of rank 0, or None where it could not make one."""
    box = [None if path is None else str(path)]
    torch.distributed.broadcast_object_list(box, src=0)
    return None if box[0] is None else Path(box[0])


def agree_on(tensors: Iterable[Tensor]) -> None:
    """Broadcast the tensors of rank 0, in place; does nothing in a single process."""
    if torch.distributed.is_initialized():
        for tensor in tensors:
            torch.distributed.broadcast(tensor, src=0)


def _start_resource_tracker() -> None:
    """Start multiprocessing's resource tracker with SIGHUP blocked; it ignores SIGINT and SIGTERM itself.

    It must outlive the processes that it cleans up after. If a closing terminal ended it, another would be
    started, and print tracebacks about names it does not know.
    """
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})  # a child process inherits the mask
    try:
        resource_tracker.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def follow_parent() -> None:
    """Make this spawned training process end with its parent, however that one ends.

    Signals of the terminal then reach only the parent, which forwards them, so that none arrives twice.
    """
    parent = multiprocessing.parent_process()
    os.setsid()
    _prctl_pr_set_pdeathsig(signal.SIGKILL)  # Linux only; a no-op elsewhere
    if parent is not None and os.getppid() != parent.pid:  # the parent has ended already
        os.kill(os.getpid(), signal.SIGKILL)


def record_failure(error: BaseException) -> None:
    """Report the error to the launcher of this process, even where the run folder cannot be written."""
    from torch.distributed.elastic.multiprocessing.errors import get_error_handler

    handler = get_error_handler()
    handler.initialize()
    handler.record_exception(error)


def launch(worker: Callable[..., None], *arguments: Any, processes: int) -> None:
    """Run `worker(*arguments)` in `processes` local processes, as torchrun would, and wait.

    Raises:
        ChildFailedError: one failed; the others are terminated.
    """
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    # the caller reports the failure, once
    for handler in logging.getLogger("torch.distributed").handlers:
        handler.setLevel(logging.CRITICAL)
    logging.getLogger("torch.multiprocessing").setLevel(logging.CRITICAL)
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        # No other machine needs the heartbeat. After a signal its thread keeps running; a heartbeat while
        # Python exits would abort the process.
        rdzv_configs={"keep_alive_interval": YEAR},
        max_restarts=0,
        monitor_interval=0.1,
        start_method="spawn",
    )
    # The launcher forwards these to the processes; by default it also handles signals that nohup made it
    # ignore. Set as an attribute, because the config of PyTorch 2.6 has no such argument.
    handed_on = [*stop_signals(), signal.SIGQUIT]
    config.signals_to_handle = ",".join(number.name for number in handed_on)
    _start_resource_tracker()
    handlers = [(number, signal.getsignal(number)) for number in handed_on]
    try:
        elastic_launch(config, worker)(*arguments)
    finally:
        for each in handlers:
            signal.signal(*each)
