"""A whole run of `isthmus train`, with the time that Lightning's `fit` takes in it."""

from __future__ import annotations

import tempfile
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest import mock

from clock import now
from pytorch_lightning import Trainer
from settings import Turn

from isthmus.runs.config.compose import compose
from isthmus.runs.train import train


class Timed:
    """Stands in for `Trainer.fit` and notes when it ran, and how many images it trained on."""

    def __init__(self) -> None:
        self.began = self.ended = self.seconds = self.cpu_seconds = 0.0
        self.images = 0

    def __call__(self, fit: Any, trainer: Trainer, *arguments: Any, **keywords: Any) -> None:
        device = trainer.strategy.root_device.type
        self.began, began, cpu_began = time.time(), now(device), time.process_time()
        fit(trainer, *arguments, **keywords)
        self.seconds, self.ended = now(device) - began, time.time()
        self.cpu_seconds = time.process_time() - cpu_began
        data = keywords["datamodule"].data
        rows, batches = len(data.split.train), data.train_batches
        epochs, further = divmod(trainer.global_step, batches)
        self.images = epochs * rows + further * data.batch_size


def isthmus_train(overrides: Sequence[str], *, seed: int) -> tuple[Turn, dict[str, Any]]:
    """Train with everything that a run leaves behind; returns its turn and its results.

    What is timed is Lightning's `fit` from start to return: every step, log line, checkpoint, code and figure
    in it. The test at the end is not, as it is not in the loops either.
    """
    timed, fit = Timed(), Trainer.fit
    config = compose([*overrides, f"seed={seed}", "trainer.progress_bar=true"])
    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch.object(Trainer, "fit", lambda *given, **keywords: timed(fit, *given, **keywords)),
        warnings.catch_warnings(),
    ):
        run = train(config, Path(folder) / "run")
        results = run.read_json(run.results)
    turn = Turn(timed.seconds, timed.images, results["test/mse"], timed.began, timed.ended, timed.cpu_seconds)
    return turn, results
