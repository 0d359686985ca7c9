"""Loggers that write into the run folder, over Lightning's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import CSVLogger, Logger, TensorBoardLogger

from isthmus.core.errors import BadInput


class EventFiles(TensorBoardLogger):
    """TensorBoard events directly in `folder`.

    Lightning would also write an hparams.yaml; the run folder has its config.yaml. The HParams row is
    written when the final metrics are there (see `training.hparams`).
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(save_dir=folder, name="", version="", default_hp_metric=False)

    def log_hyperparams(self, *arguments: Any, **keywords: Any) -> None:
        """Nothing yet."""

    def save(self) -> None:
        """Nothing besides the events."""

    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Everything but the epoch, which would be the first chart and a metric in HParams."""
        super().log_metrics({name: value for name, value in metrics.items() if name != "epoch"}, step)


class MetricsFile(CSVLogger):
    """Every logged number in `folder`/metrics.csv."""

    def __init__(self, folder: Path, *, flush_every: int) -> None:
        super().__init__(save_dir=folder, name="", version="", flush_logs_every_n_steps=flush_every)

    def log_hyperparams(self, params: Any = None) -> None:
        """Nothing: the run folder has its config.yaml."""

    def save(self) -> None:
        """The numbers alone: no hparams.yaml."""
        self.experiment.save()

    def log_metrics(self, metrics: dict[str, Any], step: int | None = None) -> None:
        """Record a row; the file is brought up to date at the end of each epoch at the latest."""
        super().log_metrics(metrics, step)
        if any(name.endswith("/loss") for name in metrics):
            self.save()


class TensorBoard:
    """The choice logger=tensorboard."""

    def build(self, folder: Path) -> Logger:
        return EventFiles(folder)


class MLflow:
    """The choice logger=mlflow.

    Args:
        experiment_name: the experiment that the run joins.
        tracking_uri: a server or database; None for mlflow.db beside the run folder.
    """

    def __init__(self, *, experiment_name: str, tracking_uri: str | None) -> None:
        self.experiment_name = experiment_name
        self.tracking_uri = tracking_uri

    def build(self, folder: Path) -> Logger:
        from pytorch_lightning.loggers import MLFlowLogger

        uri = self.tracking_uri or f"sqlite:///{folder.parent.resolve() / 'mlflow.db'}"
        try:
            return MLFlowLogger(
                experiment_name=self.experiment_name,
                run_name=folder.name,
                tracking_uri=uri,
                artifact_location=str(folder.resolve()),
            )
        except ModuleNotFoundError as error:
            raise BadInput("logger", "mlflow", 'needs MLflow: pip install "isthmus[mlflow]"') from error


class WandB:
    """The choice logger=wandb.

    Args:
        project: the project that the run joins.
        offline: keep everything in the run folder until `wandb sync`.
    """

    def __init__(self, *, project: str, offline: bool) -> None:
        self.project = project
        self.offline = offline

    def build(self, folder: Path) -> Logger:
        from pytorch_lightning.loggers import WandbLogger

        try:
            return WandbLogger(
                project=self.project, name=folder.name, save_dir=folder, offline=self.offline, log_model=False
            )
        except ModuleNotFoundError as error:
            raise BadInput(
                "logger", "wandb", 'needs Weights & Biases: pip install "isthmus[wandb]"'
            ) from error


def tensorboard_of(loggers: list[Any]) -> Any | None:
    """The SummaryWriter of the run, or None when it does not log to TensorBoard."""
    return next((logger.experiment for logger in loggers if isinstance(logger, TensorBoardLogger)), None)
