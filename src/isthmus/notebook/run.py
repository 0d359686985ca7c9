"""A run folder as an object: its results, its history and its model, and how a notebook shows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from isthmus.common.messages import escaped, relative
from isthmus.runs.folder.lookup import MODEL
from isthmus.runs.folder.run_folder import RunFolder
from isthmus.training.writers.metrics_reader import history_arrays

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from isthmus.tasks.trained_model import TrainedModel

SHOWN = ("test/mse", "val/mse", "test/loss", "val/loss")  # results that the short form may show


class Run:
    """A run; what its folder has is read when it is asked for.

    Args:
        path: the run folder.

    Attributes:
        path: the run folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._folder = RunFolder.open(path)

    @property
    def name(self) -> str:
        """Of the run folder."""
        return self.path.name

    @property
    def status(self) -> str:
        """running, done, failed, stopped or killed."""
        return str(self._folder.read_status().get("status"))

    @property
    def config(self) -> DictConfig:
        """The resolved config; changed, it can be trained: ``isthmus.train(config)``."""
        return self._folder.read_config()

    @property
    def results(self) -> dict[str, Any]:
        """The final metrics, such as ``test/mse``; empty for a run that is not done."""
        return self._folder.read_json(self._folder.results) if self._folder.results.is_file() else {}

    @property
    def metrics(self) -> Any:
        """What was logged for each epoch: a pandas DataFrame, or a dict of arrays without pandas."""
        columns = self.history()
        try:
            import pandas as pd
        except ImportError:
            return columns
        return pd.DataFrame(columns).set_index("epoch")

    def history(self) -> dict[str, np.ndarray]:
        """Metric -> its value after each epoch, NaN where it was not logged; and ``epoch``. Shape: [E]."""
        return history_arrays(self._folder.metrics)

    @cached_property
    def model(self) -> TrainedModel:
        """The trained model; see `isthmus.load`."""
        from isthmus.tasks.loading import load_model

        return load_model(self.path)

    def resume(self, overrides: Sequence[str] | Mapping[str, Any] | None = None) -> Run:
        """Train the rest of a run that was stopped, or further: ``run.resume(["trainer.max_epochs=40"])``.

        Raises:
            BadInput, TrainingDiverged, Stopped: see `isthmus.train`.
        """
        from isthmus.notebook.training import resume_run

        return resume_run(self.path, overrides)

    def __repr__(self) -> str:
        results = self.results
        shown = next((f", {name} {results[name]:.4g}" for name in SHOWN if name in results), "")
        model = f", {MODEL}" if self._folder.model.is_file() else ""
        return escaped(f"<isthmus run: {relative(self.path)}, {self.status}{shown}{model}>").replace(
            "\n", "\\n"
        )

    def _repr_html_(self) -> str:
        from isthmus.notebook.page import page

        return page(self)
