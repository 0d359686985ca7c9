"""Plain lines, one per epoch, which stay on the terminal above the bar."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

from lightning_fabric.utilities.rank_zero import rank_zero_only
from pytorch_lightning.loggers import Logger


class ConsoleLines(Logger):
    """Prints the losses and the seconds of each epoch.

    It is a logger rather than a callback because only loggers get the metrics at the end of an epoch.

    Args:
        epochs: to train; -1 for no limit.
        write: prints a line; None for `print`.
    """

    def __init__(self, epochs: int, write: Callable[[str], None] | None = None) -> None:
        super().__init__()
        self.epochs = epochs
        self._write = write or partial(print, flush=True)
        self._val_loss = ""
        self._last = time.perf_counter()

    @property
    def name(self) -> str:
        return "console"

    @property
    def version(self) -> str:
        return ""

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Does nothing: the summary at the end names the config."""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, Any], step: int | None = None) -> None:
        """Print a line when the metrics of a training epoch arrive."""
        if "val/loss" in metrics:
            self._val_loss = f"  val/loss {metrics['val/loss']:.5g}"
        if "train/loss" in metrics:
            now = time.perf_counter()
            of = f"/{self.epochs}" if self.epochs > 0 else ""
            self._write(
                f"epoch {int(metrics['epoch'])}{of}"
                f"  train/loss {metrics['train/loss']:.5g}{self._val_loss}"
                f"  {now - self._last:.1f} s"
            )
            self._last, self._val_loss = now, ""
