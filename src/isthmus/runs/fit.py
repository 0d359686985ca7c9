"""Fit, test and write the results of a run whose folder and parts are there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from signal import SIGINT, SIGTERM
from typing import Any

import torch
from lightning_fabric.utilities.rank_zero import rank_zero_only
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.loggers import Logger
from pytorch_lightning.trainer.states import TrainerStatus
from pytorch_lightning.utilities.exceptions import SIGTERMException

from isthmus.runs.build import Parts, better, monitored, part
from isthmus.runs.errors import Stopped
from isthmus.runs.folder import RunFolder
from isthmus.training.callbacks.figures import Figures
from isthmus.training.callbacks.latents import Latents
from isthmus.training.encoding import encode_all
from isthmus.training.hparams import flat, write_hparams
from isthmus.training.loggers import MetricsFile, tensorboard_of
from isthmus.training.projector import thumbnails, write_projector
from isthmus.training.trainer import build_trainer, checkpoints, early_stopping

STAGES = ("train/", "val/", "test/")


def fit_and_test(cfg: DictConfig, parts: Parts, folder: RunFolder) -> None:
    """Train, test the best checkpoint, and leave results and status in the folder."""
    trainer = None
    try:
        trainer = _trainer(cfg, parts, folder)
        for logger in trainer.loggers:
            logger.log_hyperparams(config_row(cfg))
        trainer.fit(parts.module, datamodule=parts.data)
        _finish(cfg, parts, folder, trainer)
    except SystemExit as end:
        # what Lightning makes of Ctrl+C and of SIGTERM
        if trainer is None or trainer.state.status != TrainerStatus.INTERRUPTED:
            raise
        folder.write_stop(step=trainer.global_step, epoch=trainer.current_epoch)
        raise Stopped(SIGTERM if isinstance(end, SIGTERMException) else SIGINT) from None
    except KeyboardInterrupt:
        folder.write_stop()
        raise
    except Exception as error:
        where = {"step": trainer.global_step, "epoch": trainer.current_epoch} if trainer else {}
        folder.write_failure(error, **where)
        raise


def config_row(cfg: DictConfig) -> dict[str, int | float | str]:
    """The config as loggers show it: one flat row."""
    content: Any = OmegaConf.to_container(cfg, resolve=True)
    return flat(content)


def _trainer(cfg: DictConfig, parts: Parts, folder: RunFolder) -> Trainer:
    loggers: list[Logger] = [MetricsFile(folder.path, flush_every=cfg.trainer.log_every_n_steps)]
    loggers += [part(f"logger.{name}", keys, object).build(folder.path) for name, keys in cfg.logger.items()]
    callbacks: list[Callback] = [
        checkpoints(
            folder.checkpoints,
            monitor=monitored(cfg, parts.data),
            mode=better(cfg.callbacks.checkpoint.mode, monitored(cfg, parts.data)),
            every_n_epochs=cfg.callbacks.checkpoint.every_n_epochs,
        )
    ]
    if cfg.callbacks.latents.enabled:
        callbacks.append(_latents(parts, folder.latents))
    if cfg.callbacks.figures.enabled and len(parts.data.source.shape) == 3:
        callbacks.append(
            Figures(
                _examples(parts, cfg.callbacks.figures.columns),
                folder.figures,
                every_n_epochs=cfg.callbacks.figures.every_n_epochs,
            )
        )
    if cfg.callbacks.early_stopping.enabled:
        stopping = cfg.callbacks.early_stopping
        callbacks.append(early_stopping(stopping, mode=better(stopping.mode, stopping.monitor)))
    if cfg.trainer.compile:
        parts.module.autoencoder.compile()
    return build_trainer(cfg.trainer, folder=folder.path, loggers=loggers, callbacks=callbacks)


def _examples(parts: Parts, count: int) -> torch.Tensor:
    """Examples spread over a part that is not trained on, as stored."""
    rows = _held_out(parts)
    spread = torch.linspace(0, len(rows) - 1, min(count, len(rows))).long()
    return parts.data.source.take(rows[spread])


def _latents(parts: Parts, folder: Path) -> Latents:
    source, split = parts.data.source, parts.data.split
    rows = {"val": split.val, "test": split.test}
    return Latents(
        {name: parts.data.whole_loader(part_rows) for name, part_rows in rows.items() if len(part_rows)},
        labels=source.labels,
        label_names=source.label_names,
        folder=folder,
    )


def _finish(cfg: DictConfig, parts: Parts, folder: RunFolder, trainer: Trainer) -> None:
    best = torch.load(folder.checkpoint("best"), weights_only=True, map_location="cpu")
    step, epoch = trainer.global_step, trainer.current_epoch
    parts.module.load_state_dict(best["state_dict"])
    tested: Mapping[str, Any] = {}
    if len(parts.data.split.test):
        [tested] = trainer.test(parts.module, datamodule=parts.data, verbose=False)
    results = {
        **{name: value for name, value in {**best["metrics"], **tested}.items() if name.startswith(STAGES)},
        "epoch": best["epoch"] + 1,
        "step": best["global_step"],
        "parameters": sum(p.numel() for p in parts.module.autoencoder.parameters()),
    }
    if tested and parts.module.kl_per_dimension is not None:
        results["test/kl_per_dimension"] = parts.module.kl_per_dimension.tolist()
    _conclude(cfg, parts, trainer, results)
    if trainer.is_global_zero:
        folder.write_json(folder.results, results)
        folder.write_status("done", step=step, epoch=epoch)


@rank_zero_only
def _conclude(cfg: DictConfig, parts: Parts, trainer: Trainer, results: dict[str, Any]) -> None:
    """The HParams row and the projector, for runs that log to TensorBoard."""
    writer = tensorboard_of(trainer.loggers)
    if writer is None:
        return
    metrics = {name: value for name, value in results.items() if isinstance(value, float)}
    write_hparams(writer, config_row(cfg), metrics, step=results["step"])
    if cfg.callbacks.projector.enabled:
        data, module = parts.data, parts.module
        rows = _held_out(parts)[: cfg.callbacks.projector.points]
        codes = encode_all(module, data.whole_loader(rows))
        if data.source.labels is not None:
            codes["labels"] = data.source.labels[rows]
        with torch.no_grad():
            x = module.scaling.cpu()(data.source.take(rows))
        write_projector(
            writer, codes, label_names=data.source.label_names, images=thumbnails(x, module.value_range)
        )
    writer.flush()


def _held_out(parts: Parts) -> torch.Tensor:
    """The rows of the test set; without one those of the validation set, or else of the training set."""
    split = parts.data.split
    return next(rows for rows in (split.test, split.val, split.train) if len(rows))
