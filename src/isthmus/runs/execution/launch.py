"""Train a run in the number of processes that its config sets, from the start or from a checkpoint."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from signal import SIGTERM
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from isthmus.common.errors import BadInput
from isthmus.common.held_folder import FolderLost, holding
from isthmus.common.messages import command_line, relative
from isthmus.runs.config.build import Parts, build, check_normalization
from isthmus.runs.errors import RunFailed, Stopped, lost
from isthmus.runs.execution.fit import fit_and_test, stopped
from isthmus.runs.execution.guarded_streams import guard_streams
from isthmus.runs.execution.resources import Resources
from isthmus.runs.execution.restart import Start, newest
from isthmus.runs.folder.run_folder import RunFolder
from isthmus.training import distributed
from isthmus.training.devices import set_threads
from isthmus.training.trainer import quiet

if TYPE_CHECKING:
    from torch.distributed.elastic.multiprocessing.errors import ProcessFailure

Begin = Callable[[ExitStack, Parts], tuple[RunFolder, Start | None]]


def launch(cfg: DictConfig, resources: Resources, begin: Begin | None) -> RunFolder:
    """Train with the resources of a run.

    Args:
        cfg: the checked config.
        resources: resolved from it.
        begin: prepares and locks the folder in the process of rank 0; None in the others.
    """
    quiet()
    devices = resources.devices
    cluster = distributed.cluster()
    with ExitStack() as stack:
        stack.enter_context(resources.in_environment())
        if cluster is None:
            assert begin is not None
            set_threads(cfg.trainer.threads, processes=1)
            parts = build(cfg)
            check_normalization(cfg, parts.data, processes=resources.processes)
            folder, start = _begun(begin, stack, parts)
            with _keeping(folder):
                if devices == 1:
                    fit_and_test(cfg, parts, folder, start)
                else:
                    del parts, start  # each process has its own
                    _train_together(folder, devices)
            return folder
        distributed.check_world(cluster, devices=devices, num_nodes=cfg.trainer.num_nodes)
        set_threads(resources.threads, processes=devices)
        parts = build(cfg)
        check_normalization(cfg, parts.data, processes=resources.processes)
        distributed.join(cluster)
        made = None
        try:
            if begin is not None:
                made = _begun(begin, stack, parts)
        finally:
            agreed = distributed.agree(made[0].path if made else None)
        if agreed is None:
            raise SystemExit(2)  # rank 0 prints the reason
        folder = RunFolder(agreed)
        folder, start = made or (folder, newest(folder))
        with _keeping(folder):
            fit_and_test(cfg, parts, folder, start)
        return folder


@contextlib.contextmanager
def _keeping(folder: RunFolder) -> Iterator[None]:
    """Watch the folder during training; raises `RunFailed` if it was removed, renamed or replaced."""
    try:
        with holding(folder.path):
            yield
    except FolderLost as error:
        raise lost(error) from error
    except Exception as error:
        if not folder.status.exists():  # the folder is still there, and its files are being removed
            raise lost(FolderLost(folder.path, None)) from error
        raise


def _begun(begin: Begin, stack: ExitStack, parts: Parts) -> tuple[RunFolder, Start | None]:
    try:
        return begin(stack, parts)
    except OSError as error:
        raise BadInput("RUN", error.filename or "", f"cannot be written ({error.strerror})") from error


def _train_together(folder: RunFolder, processes: int) -> None:
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    try:
        distributed.launch(_worker, str(folder.path), processes=processes)
    except ChildFailedError as error:
        status = folder.read_json(folder.status)
        if status.get("status") == "stopped":  # by a signal that only the child processes got
            raise Stopped(int(status.get("signal", SIGTERM)), folder.path) from None
        raise RunFailed(_reason(folder, list(error.failures.values()))) from None
    except SignalException as error:
        if folder.read_json(folder.status)["status"] == "running":  # they had no time to record it
            folder.write_status("stopped", signal=int(error.sigval))
        raise Stopped(error.sigval, folder.path) from error
    except KeyboardInterrupt as stop:  # before the launcher handles signals
        raise stopped(folder, stop) from None


def _reason(folder: RunFolder, failures: list[ProcessFailure]) -> str:
    """Why training failed, in one line. A killed process comes first: the others fail as a consequence."""
    killed = [failure for failure in failures if failure.exitcode < 0 and failure.exitcode != -SIGTERM]
    if killed:
        name = killed[0].signal_name()
        fix = command_line("isthmus", "resume", relative(folder.path))
        reason = f"a process was killed by {name}; to resume: {fix}"
        with contextlib.suppress(OSError):
            folder.write_status("failed", error=reason)
        return reason
    status = folder.read_json(folder.status)
    if status.get("status") == "failed":  # the first process to fail recorded the reason
        explained = "\nisthmus." in str(status.get("traceback"))  # the error is one of ours
        place = "" if explained else f"; its traceback is in {relative(folder.status)}"
        return f"{status.get('error')}{place}"
    messages: list[Any] = [failure.message for failure in failures]  # a dict if it has recorded its error
    recorded = [str(message["message"]) for message in messages if isinstance(message, dict)]
    return recorded[0].partition(": ")[2] if recorded else "a process ended without an error message"


def _worker(path: str) -> None:
    """Entry point of a training process."""
    distributed.follow_parent()
    guard_streams()
    folder = RunFolder(Path(path))
    cfg = folder.read_config()
    quiet()
    cluster = distributed.cluster()
    assert cluster is not None
    try:
        set_threads(cfg.trainer.threads, processes=cluster.world_size())
        distributed.join(cluster)
        with _keeping(folder):
            fit_and_test(cfg, build(cfg), folder, newest(folder))
    except Stopped as stop:
        sys.exit(stop.exit_code)  # a return would block until the launcher has read the result
    except Exception as error:
        distributed.record_failure(error)
        if not isinstance(error, RunFailed):  # already recorded, or the folder is lost
            with contextlib.suppress(OSError):
                folder.write_failure(error)
        sys.exit(1)
