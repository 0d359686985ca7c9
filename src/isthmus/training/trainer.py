"""Lightning's Trainer, from the keys of the trainer group."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Mapping
from typing import Any

import torch
from lightning_fabric.plugins.environments import (
    LightningEnvironment,
    SLURMEnvironment,
    TorchElasticEnvironment,
)
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.callbacks import EarlyStopping as LightningEarlyStopping
from pytorch_lightning.loggers import Logger

from isthmus.common.errors import BadInput
from isthmus.training.callbacks.progress_bar import Bar
from isthmus.training.checkpoint.io import AtomicCheckpointIO
from isthmus.training.distributed import started_by_srun
from isthmus.training.writers.console import ConsoleLines

# Everything has a place in the run folder already. In a folder, Lightning would look for checkpoints that it
# made under Slurm, and go on from one that anybody put there.
NOWHERE = os.devnull

# What Lightning tells everyone, and what does not concern our loaders, which take batches by index.
IRRELEVANT = (
    ".*does not have many workers.*",
    ".*number of training batches.*smaller than the logging interval.*",
    ".*Experiment logs directory.*exists and is not empty.*",
    ".*Checkpoint directory.*exists and is not empty.*",
    ".*`srun` command is available.*",
    ".*LeafSpec.*",
    ".*callbacks used to create the checkpoint need to be provided.*",  # those that were switched off
    ".*Total length of `list` across ranks is zero.*",
    ".*lr_scheduler.step.*before.*optimizer.step.*",
    # the metrics that we log are of all processes already, and a process may have no rows to judge
    ".*sync_dist=True.*",
    ".*``compute`` method of metric .* was called before the ``update`` method.*",
    ".*lr scheduler dict contains the key.*",
    ".*could not find the monitored key.*",
    ".*that ended before the epoch ended and your dataloader is not resumable.*",
)


def quiet() -> None:
    """Silence what does not concern the person."""
    for name in ("pytorch_lightning", "lightning_fabric", "lightning.pytorch"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for message in IRRELEVANT:
        warnings.filterwarnings("ignore", message=message)


def build_trainer(
    keys: Mapping[str, Any],
    *,
    loggers: list[Logger],
    callbacks: list[Callback],
    checkpoint_io: AtomicCheckpointIO,
) -> Trainer:
    """A Trainer that leaves files only through its loggers and callbacks.

    Args:
        keys: of the trainer group.
        loggers: besides the console.
        callbacks: besides the progress bar.
        checkpoint_io: writes and reads checkpoints.
    """
    quiet()
    bar = keys["progress_bar"]
    shows_bar = sys.stderr.isatty() if bar == "auto" else bar is True
    if shows_bar:
        callbacks = [*callbacks, Bar()]
    elif bar != "none":
        loggers = [*loggers, ConsoleLines(keys["max_epochs"])]
    plugins: list[Any] = [checkpoint_io]
    if SLURMEnvironment.detect() and not TorchElasticEnvironment.detect():
        # our own checkpoint at a signal goes on in the middle of an epoch, with the same bits
        plugins.append(SLURMEnvironment(auto_requeue=False) if started_by_srun() else LightningEnvironment())
    trainer = Trainer(
        accelerator=keys["accelerator"],
        devices=keys["devices"],
        num_nodes=keys["num_nodes"],
        strategy=keys["strategy"],
        precision=keys["precision"],
        max_epochs=keys["max_epochs"],
        deterministic=keys["deterministic"],
        log_every_n_steps=keys["log_every_n_steps"],
        check_val_every_n_epoch=keys["check_val_every_n_epoch"],
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        enable_model_summary=False,
        enable_progress_bar=shows_bar,
        default_root_dir=NOWHERE,
        logger=loggers,
        callbacks=callbacks,
        plugins=plugins,
    )
    # `StopRequests` has the signals; Lightning's handlers would end training without a checkpoint
    trainer._signal_connector.register_signal_handlers = lambda: None  # type: ignore[method-assign]
    return trainer


class EarlyStopping(LightningEarlyStopping):
    """A checkpoint tells what happened so far; the patience from now on is that of the config."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict({**state_dict, "patience": self.patience})


def early_stopping(keys: Mapping[str, Any], *, mode: str) -> EarlyStopping:
    """From the keys of callbacks.early_stopping. Divergence is noticed elsewhere, with its step."""
    return EarlyStopping(
        monitor=keys["monitor"],
        mode=mode,
        patience=keys["patience"],
        min_delta=keys["min_delta"],
        check_finite=False,
        # the means of an epoch are there at its end, and after its validation
        check_on_train_epoch_end=True if keys["monitor"].startswith("train/") else None,
    )


def device_type(accelerator: str) -> str:
    """What `trainer.accelerator` comes to on this machine: cpu, cuda or mps."""
    if accelerator not in ("auto", "gpu"):
        return accelerator
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def check_devices(accelerator: str, devices: Any) -> int:
    """How many processes `trainer.devices` means on this machine.

    Raises:
        BadInput: for more devices than there are, or an accelerator that is not here.
    """
    available = {
        "gpu": torch.cuda.device_count() or int(torch.backends.mps.is_available()),
        "cuda": torch.cuda.device_count(),
        "mps": int(torch.backends.mps.is_available()),
    }
    kind = device_type(accelerator) if accelerator == "auto" else accelerator
    if kind == "cpu":
        if not isinstance(devices, int) or isinstance(devices, bool) or devices < 1:
            raise BadInput("devices", devices, "on the CPU must be a number of processes of at least 1")
        if devices > (os.cpu_count() or 1):
            raise BadInput("devices", devices, f"is more than the {os.cpu_count()} CPU cores there are")
        return devices
    if not available.get(kind):
        raise BadInput(
            "accelerator", accelerator, "there is none on this machine; use trainer.accelerator=cpu"
        )
    count = available[kind]
    if devices == -1 or devices == "auto":
        return count
    wanted = (
        list(devices)
        if isinstance(devices, list | tuple)
        else range(devices if isinstance(devices, int) else -1)
    )
    if not wanted or any(not isinstance(device, int) or not 0 <= device < count for device in wanted):
        raise BadInput("devices", devices, f"must name some of the {count} there are; -1 takes them all")
    return len(wanted)


def set_threads(threads: int | None, *, processes: int) -> None:
    """Set the CPU threads of this process; see `threads_of`."""
    torch.set_num_threads(threads_of(threads, processes=processes))


def _openmp_threads() -> int | None:
    """The first number of OMP_NUM_THREADS, which may have one for each level of nesting (OpenMP 5.2)."""
    first = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    if not first:
        return None
    if not first.isdecimal() or int(first) == 0:
        raise BadInput("OMP_NUM_THREADS", first, "must be a number of threads; or set trainer.threads")
    return int(first)


def threads_of(threads: int | None, *, processes: int) -> int:
    """CPU threads of each process.

    Args:
        threads: how many; None for what OMP_NUM_THREADS says, or else all cores divided among the processes.
        processes: how many of them train together on this machine.
    """
    threads = threads or _openmp_threads()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return threads or max(1, cores // processes)
