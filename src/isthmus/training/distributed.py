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
from isthmus.training.signals import stop_signals

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
    """Whether this process is one of a Slurm step; a batch script knows of tasks that nobody started."""
    return SLURMEnvironment.detect() and "SLURM_STEP_ID" in os.environ


def check_world(environment: ClusterEnvironment, *, devices: int, num_nodes: int) -> None:
    """Raise `BadInput` where the processes that were started are not those that the config asks for."""
    if environment.world_size() != devices * num_nodes:
        raise BadInput(
            "trainer.devices",
            devices,
            f"times trainer.num_nodes={num_nodes} is not the {environment.world_size()} "
            "processes that were started; make them agree",
        )


def join(environment: ClusterEnvironment) -> None:
    """Meet the other processes. Lightning goes on with the group made here.

    It has a host backend besides the GPU's, so that paths can be agreed on before any GPU is touched.
    """
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    _init_dist_connection(environment, backend)


def agree(path: Path | None) -> Path | None:
    """What the first process knows, in all of them: the path, or None where it could not make one."""
    box = [None if path is None else str(path)]
    torch.distributed.broadcast_object_list(box, src=0)
    return None if box[0] is None else Path(box[0])


def agree_on(tensors: Iterable[Tensor]) -> None:
    """Give all processes the first one's tensors, in place; nothing where one trains alone."""
    if torch.distributed.is_initialized():
        for tensor in tensors:
            torch.distributed.broadcast(tensor, src=0)


def _start_resource_tracker() -> None:
    """Start multiprocessing's, deaf to SIGHUP as it is to SIGINT and SIGTERM.

    It outlives the processes that it cleans up after. Where a terminal that closes ended it, another would
    be started, and print tracebacks about names it does not know.
    """
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})  # a process starts with those blocked
    try:
        resource_tracker.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def follow_parent() -> None:
    """Make this process, which another one started for training, end with it however that one ends.

    Signals of the terminal go to the parent alone, which hands them on: nobody gets them twice.
    """
    parent = multiprocessing.parent_process()
    os.setsid()
    _prctl_pr_set_pdeathsig(signal.SIGKILL)  # on Linux; elsewhere it does nothing
    if parent is not None and os.getppid() != parent.pid:  # it is gone already
        os.kill(os.getpid(), signal.SIGKILL)


def record_failure(error: BaseException) -> None:
    """Tell whoever launched this process why it fails, even where the run folder cannot be written."""
    from torch.distributed.elastic.multiprocessing.errors import get_error_handler

    handler = get_error_handler()
    handler.initialize()
    handler.record_exception(error)


def launch(worker: Callable[..., None], *arguments: Any, processes: int) -> None:
    """Run `worker(*arguments)` in so many processes of this machine, as torchrun would, and wait.

    Raises:
        ChildFailedError: when one fails; the others are ended.
    """
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    # what failed is said once, by whoever called
    for handler in logging.getLogger("torch.distributed").handlers:
        handler.setLevel(logging.CRITICAL)
    logging.getLogger("torch.multiprocessing").setLevel(logging.CRITICAL)
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        # There are no other machines to tell that this one lives. After a signal the thread that tells it is
        # left alone; were it to do so while Python exits, the process would be aborted.
        rdzv_configs={"keep_alive_interval": YEAR},
        max_restarts=0,
        monitor_interval=0.1,
        start_method="spawn",
    )
    # The launcher hands these on to the processes; by default it also takes over what nohup told it to
    # ignore. Not an argument of the config: that of PyTorch 2.6 has none.
    handed_on = [*stop_signals(), signal.SIGQUIT]
    config.signals_to_handle = ",".join(number.name for number in handed_on)
    _start_resource_tracker()
    handlers = [(number, signal.getsignal(number)) for number in handed_on]
    try:
        elastic_launch(config, worker)(*arguments)
    finally:
        for each in handlers:
            signal.signal(*each)
