"""The choices of the logger group, over Lightning's loggers. All continue in a resumed run."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from lightning_fabric.loggers.logger import rank_zero_experiment
from lightning_fabric.utilities.rank_zero import rank_zero_only
from pytorch_lightning.loggers import Logger, TensorBoardLogger

from isthmus.common.atomic_files import write_text
from isthmus.common.errors import BadInput
from isthmus.common.failures import WarnOnFailure


@runtime_checkable
class Marked(Protocol):
    """A logger whose files can be truncated to a checkpoint."""

    marked_as: str  # key in a checkpoint

    def mark(self) -> Any:
        """The extent of the files with everything logged so far, in plain types."""


class EventFiles(TensorBoardLogger):
    """TensorBoard events directly in `folder`.

    Lightning would also write an hparams.yaml; the run folder has its config.yaml. The HParams row is
    written when the final metrics are known (see `training.writers.hparams`).

    Args:
        folder: of the run.
        resumed_at: the step from which a run resumes; an open TensorBoard then discards later steps.
    """

    marked_as = "events"

    def __init__(self, folder: Path, *, resumed_at: int | None = None) -> None:
        threading.excepthook = _quiet_about_writers
        purge: dict[str, Any] = {} if resumed_at is None else {"purge_step": resumed_at + 1}
        super().__init__(save_dir=folder, name="", version="", default_hp_metric=False, **purge)
        self._warned = WarnOnFailure("an event file could not be written")

    @property
    def log_dir(self) -> str:
        """The folder itself. Lightning would expand ``$NAME`` in its path."""
        return self.save_dir

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The SummaryWriter, created at first use."""
        if self._experiment is None:
            from isthmus.training.writers.event_writer import EventWriter

            self._experiment = EventWriter(self.log_dir, **self._kwargs)
        return self._experiment

    def log_hyperparams(self, *arguments: Any, **keywords: Any) -> None:
        """Does nothing: `write_hparams` writes the row at the end."""

    def save(self) -> None:
        """Does nothing: there is no hparams.yaml."""

    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Log everything but the epoch, which would be the first chart and a metric in HParams."""
        super().log_metrics({name: value for name, value in metrics.items() if name != "epoch"}, step)

    @rank_zero_only
    def mark(self) -> dict[str, int]:
        """Flush; returns the size of each event file in bytes."""
        with self._warned:
            self.experiment.flush()
        return {path.name: path.stat().st_size for path in event_files(Path(self.log_dir))}


def _quiet_about_writers(raised: threading.ExceptHookArgs) -> None:
    """Ignore errors of TensorBoard's writer thread: it raises them again in the caller, which warns once."""
    if type(raised.thread).__name__ != "_AsyncWriterThread":
        threading.__excepthook__(raised)


def event_files(folder: Path) -> list[Path]:
    """The event files of a run."""
    return sorted(folder.glob("events.out.tfevents.*"))


class TensorBoard:
    """The choice logger=tensorboard."""

    def build(self, folder: Path, *, resumed_at: int | None) -> Logger:
        return EventFiles(folder, resumed_at=resumed_at)


class MLflow:
    """The choice logger=mlflow.

    Args:
        experiment_name: the experiment that the run joins.
        tracking_uri: a server or database; None for mlflow.db beside the run folder.
    """

    def __init__(self, *, experiment_name: str, tracking_uri: str | None) -> None:
        self.experiment_name = experiment_name
        self.tracking_uri = tracking_uri

    def build(self, folder: Path, *, resumed_at: int | None) -> Logger:
        from pytorch_lightning.loggers import MLFlowLogger

        uri = self.tracking_uri or f"sqlite:///{folder.parent.resolve() / 'mlflow.db'}"
        known = folder / "mlflow_run_id"
        try:
            logger = MLFlowLogger(
                experiment_name=self.experiment_name,
                run_name=folder.name,
                tracking_uri=uri,
                artifact_location=str(folder.resolve()),
                run_id=known.read_text(encoding="utf-8") if known.is_file() else None,
            )
            if not known.is_file() and _is_first():
                write_text(known, str(logger.run_id))
            return logger
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

    def build(self, folder: Path, *, resumed_at: int | None) -> Logger:
        from pytorch_lightning.loggers import WandbLogger

        known = folder / "wandb_run_id"
        if not known.is_file() and _is_first():
            write_text(known, uuid.uuid4().hex[:8])
        try:
            return WandbLogger(
                project=self.project,
                name=folder.name,
                id=known.read_text(encoding="utf-8") if known.is_file() else None,
                resume="allow",
                save_dir=folder.absolute(),  # W&B would expand a leading ~
                offline=self.offline,
                log_model=False,
            )
        except ModuleNotFoundError as error:
            raise BadInput(
                "logger", "wandb", 'needs Weights & Biases: pip install "isthmus[wandb]"'
            ) from error


FORGIVEN = ("log_hyperparams", "log_metrics", "log_graph", "save", "finalize")


def forgiven(logger: Any, name: str) -> Any:
    """The same logger, changed in place: its first error causes a warning, and none ends the run."""
    warned = WarnOnFailure(f"logger.{name} failed")

    def forgiving(call: Callable[..., Any]) -> Callable[..., None]:
        def log(*arguments: Any, **keywords: Any) -> None:
            with warned:
                call(*arguments, **keywords)

        return log

    for method in FORGIVEN:
        setattr(logger, method, forgiving(getattr(logger, method)))
    return logger


def _is_first() -> bool:
    """Whether this process is the one that logs."""
    return getattr(rank_zero_only, "rank", 0) == 0


def tensorboard_of(loggers: list[Any]) -> Any | None:
    """The SummaryWriter of the run, or None when it does not log to TensorBoard."""
    return next((logger.experiment for logger in loggers if isinstance(logger, TensorBoardLogger)), None)
