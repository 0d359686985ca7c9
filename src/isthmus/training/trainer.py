"""Lightning's Trainer, from the keys of the trainer group."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Mapping
from typing import Any

from lightning_fabric.plugins.environments import (
    LightningEnvironment,
    SLURMEnvironment,
    TorchElasticEnvironment,
)
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.loggers import Logger

from isthmus.training.callbacks.progress_bar import Bar, NotebookBar, in_notebook
from isthmus.training.checkpoint.io import AtomicCheckpointIO
from isthmus.training.distributed import started_by_srun
from isthmus.training.module import AutoencoderModule
from isthmus.training.writers.console import ConsoleLines

# Loggers and callbacks have their own paths in the run folder. In a real folder, Lightning would look for its
# Slurm checkpoints, and resume from one that anybody put there.
NOWHERE = os.devnull

# Lightning's general advice, and warnings that do not apply to our loaders, which take batches by index.
IRRELEVANT = (
    ".*does not have many workers.*",
    ".*number of training batches.*smaller than the logging interval.*",
    ".*Experiment logs directory.*exists and is not empty.*",
    ".*Checkpoint directory.*exists and is not empty.*",
    ".*`srun` command is available.*",
    ".*LeafSpec.*",
    ".*callbacks used to create the checkpoint need to be provided.*",  # callbacks that were switched off
    ".*Total length of `list` across ranks is zero.*",
    ".*lr_scheduler.step.*before.*optimizer.step.*",
    # our metrics are already reduced over all processes, and a process may have no rows to evaluate
    ".*sync_dist=True.*",
    ".*``compute`` method of metric .* was called before the ``update`` method.*",
    ".*lr scheduler dict contains the key.*",
    ".*could not find the monitored key.*",
    ".*that ended before the epoch ended and your dataloader is not resumable.*",
)


def quiet() -> None:
    """Silence messages that do not concern the user."""
    for name in ("pytorch_lightning", "lightning_fabric", "lightning.pytorch"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for message in IRRELEVANT:
        warnings.filterwarnings("ignore", message=message)


class EpochMetrics(Callback):
    """Ends the epoch of the module first, so that the other callbacks find its metrics."""

    def on_train_epoch_end(self, trainer: Trainer, pl_module: AutoencoderModule) -> None:  # type: ignore[override]
        pl_module.end_epoch()


def build_trainer(
    keys: Mapping[str, Any],
    *,
    loggers: list[Logger],
    callbacks: list[Callback],
    checkpoint_io: AtomicCheckpointIO,
) -> Trainer:
    """A Trainer that writes files only through its loggers and callbacks.

    Args:
        keys: of the trainer group.
        loggers: besides the console.
        callbacks: besides the progress bar.
        checkpoint_io: writes and reads checkpoints.
    """
    quiet()
    bar = keys["progress_bar"]
    shows_bar = sys.stderr.isatty() or in_notebook() if bar == "auto" else bar is True
    if shows_bar and in_notebook():
        callbacks = [*callbacks, NotebookBar()]
    elif shows_bar:
        callbacks = [*callbacks, shown := Bar()]
        loggers = [*loggers, ConsoleLines(keys["max_epochs"], shown.write)]
    elif bar != "none":
        loggers = [*loggers, ConsoleLines(keys["max_epochs"])]
    plugins: list[Any] = [checkpoint_io]
    if SLURMEnvironment.detect() and not TorchElasticEnvironment.detect():
        # our own checkpoint at a signal resumes within an epoch, bit for bit
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
        callbacks=[EpochMetrics(), *callbacks],
        plugins=plugins,
    )
    # `StopRequests` handles the signals; Lightning's handlers would end training without a checkpoint
    trainer._signal_connector.register_signal_handlers = lambda: None  # type: ignore[method-assign]
    return trainer
