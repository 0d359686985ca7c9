"""Fit, test and write the results of a run whose folder and parts exist."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from signal import SIGINT
from typing import Any

from lightning_fabric.utilities.rank_zero import rank_zero_only
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning import Trainer, seed_everything
from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities.seed import isolate_rng

from isthmus.common.atomic_files import same_content
from isthmus.common.errors import TrainingDiverged
from isthmus.common.failures import WarnOnFailure, disk_failure
from isthmus.common.messages import command_line, relative
from isthmus.core.autoencoder import Autoencoder
from isthmus.core.seeding import derive_seed
from isthmus.runs.config.build import Parts, build_autoencoder
from isthmus.runs.config.data import plain
from isthmus.runs.config.keys import decisive
from isthmus.runs.config.parts import part
from isthmus.runs.errors import RunFailed, Stopped, interruption_behind
from isthmus.runs.execution import gc_pause, signals
from isthmus.runs.execution.announcement import announcement
from isthmus.runs.execution.restart import Start
from isthmus.runs.execution.slurm import requeue_after
from isthmus.runs.execution.trainer_data import TrainerData
from isthmus.runs.folder.run_folder import RunFolder
from isthmus.runs.packed.fitting import fitted
from isthmus.runs.packed.packing import pack
from isthmus.training.callbacks.checkpoints import BEST, Checkpoints
from isthmus.training.callbacks.run_callback import RunCallback, RunContext
from isthmus.training.checkpoint.content import Checkpoint
from isthmus.training.checkpoint.io import AtomicCheckpointIO
from isthmus.training.inference import evaluating
from isthmus.training.loggers import forgiven, tensorboard_of
from isthmus.training.monitors.nonfinite import check_learned
from isthmus.training.stop_requests import Interruption, StopRequests
from isthmus.training.trainer import build_trainer
from isthmus.training.writers.background import Background
from isthmus.training.writers.hparams import flat, write_hparams
from isthmus.training.writers.metrics_csv import MetricsFile

DIVERGENCE_EXAMPLES = 32  # on which the final loss is compared with that of the untrained model
STAGES = ("train/", "val/", "test/")


def fit_and_test(cfg: DictConfig, parts: Parts, folder: RunFolder, start: Start | None) -> None:
    """Train, from the newest checkpoint if there is one; test the best, and write results and status.

    Args:
        cfg: the checked config.
        parts: built from it.
        folder: the run folder, locked.
        start: its checkpoints; None to train from the beginning.

    Raises:
        Stopped: if a signal stopped training; a checkpoint was written.
        RunFailed: if the disk is full or became read-only.
    """
    trainer = None
    try:
        with StopRequests().listening() as stops, Background() as background:
            path = start.checkpoint.path if start else None
            trainer = _trainer(cfg, parts, folder, stops, start, background)
            for logger in trainer.loggers:
                logger.log_hyperparams(config_row(cfg))
            gc_pause.go_on()
            _announce(cfg, parts)
            trainer.fit(parts.module, datamodule=TrainerData(parts.data), ckpt_path=path, weights_only=True)
            _finish(cfg, parts, folder, trainer, background)
        signals.record_late(stops.signum)
    except Interruption as stop:
        if trainer is not None and trainer.is_global_zero:
            folder.write_stop(step=trainer.global_step, epoch=trainer.current_epoch, signal=stop.signum)
            requeue_after(stop.signum)
        raise Stopped(stop.signum, folder.path) from None
    except KeyboardInterrupt as stop:
        raise stopped(folder, stop) from None
    except Exception as error:
        failure = _disk_failure(error, folder) or error
        if interruption := interruption_behind(failure):
            raise stopped(folder, interruption) from None
        where = {"step": trainer.global_step, "epoch": trainer.current_epoch} if trainer else {}
        if isinstance(error, TrainingDiverged) and error.step is not None:
            where["step"] = error.step  # divergence is detected some steps later
        with contextlib.suppress(OSError):
            folder.write_failure(failure, **where)
        if failure is error:
            raise
        raise failure from error


@rank_zero_only
def _announce(cfg: DictConfig, parts: Parts) -> None:
    if cfg.trainer.progress_bar != "none":
        print(announcement(cfg, parts), flush=True)
    if cfg.trainer.compile and cfg.trainer.progress_bar != "none":
        print("compiling; the first step waits for it, up to a minute", flush=True)


def stopped(folder: RunFolder, stop: KeyboardInterrupt) -> Stopped:
    """Record that a run was stopped before training started; returns the exception to raise."""
    signum = stop.signum if isinstance(stop, Stopped) else SIGINT
    folder.write_stop(signal=signum)
    return Stopped(signum, folder.path)


def _disk_failure(error: BaseException, folder: RunFolder) -> RunFailed | None:
    """The error to raise if the disk caused `error`, which torch.save wraps; or else None."""
    cause = disk_failure(error, folder.path)
    if cause is None:
        return None
    place = relative(Path(os.fsdecode(cause.filename)) if cause.filename else folder.path)
    return RunFailed(
        f"{place} cannot be written ({cause.strerror}); "
        f"mend that, then: {command_line('isthmus', 'resume', relative(folder.path))}"
    )


def config_row(cfg: DictConfig) -> dict[str, int | float | str]:
    """The config for loggers, as one flat row."""
    content: Any = OmegaConf.to_container(cfg, resolve=True)
    return flat(content)


def _trainer(
    cfg: DictConfig,
    parts: Parts,
    folder: RunFolder,
    stops: StopRequests,
    start: Start | None,
    background: Background,
) -> Trainer:
    step = start.position.step if start else None
    metrics = MetricsFile(folder.metrics, background)
    loggers: list[Logger] = [metrics]
    loggers += [
        forgiven(part(f"logger.{name}", plain(keys), object).build(folder.path, resumed_at=step), str(name))
        for name, keys in cfg.logger.items()
    ]
    checkpoints = parts.callbacks["checkpoint"]
    assert isinstance(checkpoints, Checkpoints)
    run = RunContext(folder.path, parts.data, decisive(cfg), stops, background, checkpoints.register_hook)
    for callback in _of_the_run(parts):
        callback.attach(run)
    limits = dict(cfg.trainer)
    if start and start.point.is_end(max_epochs=limits["max_epochs"], max_steps=limits["max_steps"]):
        limits["max_epochs"] = start.position.epoch  # a run that was stopped early does not train further
    opened = start.release() if start else {}
    checkpoint_io = AtomicCheckpointIO(background, before=metrics.write, opened=opened)
    return build_trainer(
        limits, loggers=loggers, callbacks=list(parts.callbacks.values()), checkpoint_io=checkpoint_io
    )


def _of_the_run(parts: Parts) -> list[RunCallback]:
    return [callback for callback in parts.callbacks.values() if isinstance(callback, RunCallback)]


def _finish(
    cfg: DictConfig, parts: Parts, folder: RunFolder, trainer: Trainer, background: Background
) -> None:
    _check_learned(cfg, parts, step=trainer.global_step)
    if trainer.is_global_zero and not (folder.checkpoints / BEST).is_file():  # best was damaged and removed
        same_content(folder.checkpoint("last"), folder.checkpoints / BEST)
    trainer.strategy.barrier()
    best = Checkpoint.read(folder.checkpoint("best"))
    step, epoch = trainer.global_step, trainer.current_epoch
    parts.module.load_weights(best.weights, epoch=best.epoch, step=best.step)
    tested: Mapping[str, Any] = {}
    if len(parts.data.split.test):
        trainer.test(parts.module, datamodule=TrainerData(parts.data), verbose=False)
        tested = {
            name: value.item() for name, value in trainer.callback_metrics.items() if name.startswith("test/")
        }
    found = {**best.metrics, **tested}
    results = {
        **{name: found[name] for stage in STAGES for name in found if name.startswith(stage)},
        "epoch": best.epoch,
        "step": best.step,
        "parameters": sum(p.numel() for p in parts.module.autoencoder.parameters()),
    }
    if tested and parts.module.kl_per_dimension is not None:
        results["test/kl_per_dimension"] = parts.module.kl_per_dimension.tolist()
    _log_hparams(cfg, trainer, results)
    for callback in _of_the_run(parts):
        callback.on_run_end(trainer, parts.module, results)
    background.flush()
    if trainer.is_global_zero:
        packed = pack(plain(cfg), folder.read_provenance()["data"], best)
        with WarnOnFailure("thresholds and samplers could not be fitted"):
            packed = fitted(packed, parts.data, parts.module.device)
        packed.write(folder.model)
        folder.write_json(folder.results, results)
        folder.write_status("done", step=step, epoch=epoch)


def _check_learned(cfg: DictConfig, parts: Parts, *, step: int) -> None:
    """Raise `TrainingDiverged` where the last weights are far worse than those that training began with."""
    data, module = parts.data, parts.module

    def untrained() -> Autoencoder:
        seed_everything(cfg.seed, verbose=False)
        return build_autoencoder(cfg, data.source.shape, data.source.value_range, data.source.spans)

    with isolate_rng(), evaluating(module):
        x = module.scaling(data.spread(data.split.train, DIVERGENCE_EXAMPLES).to(module.device))
        seed = derive_seed(cfg.seed, "divergence")
        check_learned(module.autoencoder, untrained, x, seed=seed, step=step)


@rank_zero_only
def _log_hparams(cfg: DictConfig, trainer: Trainer, results: dict[str, Any]) -> None:
    writer = tensorboard_of(trainer.loggers)
    if writer is None:
        return
    metrics = {name: value for name, value in results.items() if isinstance(value, float)}
    with WarnOnFailure("the HParams row could not be written"):
        write_hparams(writer, config_row(cfg), metrics, step=results["step"])
        writer.flush()
