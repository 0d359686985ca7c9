"""A progress bar for terminals, and one for notebooks."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from typing import Any

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import TQDMProgressBar
from pytorch_lightning.callbacks.progress.tqdm_progress import Tqdm

from isthmus.core.types import BatchGroup
from isthmus.training.module import AutoencoderModule

REFRESH_EVERY = 20  # batches: a redraw costs as much as a small training step


class Bar(TQDMProgressBar):
    """Lightning's bar, with the loss of the last batch and of the last validation."""

    def __init__(self) -> None:
        super().__init__()
        self._shown = 0  # batches of this epoch at the last redraw

    def write(self, line: str) -> None:
        """Print a line above the bar."""
        Tqdm.write(line, file=self.train_progress_bar.fp)

    def init_train_tqdm(self) -> Tqdm:
        return _unescaped(super().init_train_tqdm)

    def init_validation_tqdm(self) -> Tqdm:
        return _unescaped(super().init_validation_tqdm)

    def init_test_tqdm(self) -> Tqdm:
        return _unescaped(super().init_test_tqdm)

    @property
    def total_train_batches(self) -> int:
        return self.trainer.datamodule.train_batches  # type: ignore[attr-defined]

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: BatchGroup, batch_idx: int
    ) -> None:
        # a call of the training step takes several batches, or none where a resumed epoch has no batch left
        done = self.total_train_batches
        if batch.blocks:
            done = batch.blocks[-1] // trainer.world_size + 1
        if done - self._shown >= REFRESH_EVERY or done == self.total_train_batches:
            super().on_train_batch_end(trainer, pl_module, outputs, batch, done - 1)
            self._shown = done

    def on_train_epoch_start(self, trainer: Trainer, *arguments: Any) -> None:
        self._shown = 0
        of = f"/{trainer.max_epochs}" if trainer.max_epochs and trainer.max_epochs > 0 else ""
        self.train_progress_bar.reset(self.total_train_batches)
        self.train_progress_bar.set_description(f"Epoch {trainer.current_epoch + 1}{of}")

    def get_metrics(self, trainer: Trainer, pl_module: AutoencoderModule) -> dict[str, Any]:  # type: ignore[override]
        shown: dict[str, Any] = {}
        latest = pl_module.loop.latest
        if latest is not None:
            shown["loss"] = f"{latest[0].item():.4g}"
        if "val/loss" in trainer.callback_metrics:
            shown["val/loss"] = f"{trainer.callback_metrics['val/loss'].item():.4g}"
        return shown


class NotebookBar(Bar):
    """One bar, which shows the epoch: a notebook keeps the place of each bar that is closed."""

    def init_validation_tqdm(self) -> Tqdm:
        return Tqdm(disable=True)

    def init_test_tqdm(self) -> Tqdm:
        return Tqdm(disable=True)


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return shell is not None and hasattr(shell, "kernel")


def _unescaped(make: Callable[[], Tqdm]) -> Tqdm:
    """Make a bar on the raw stdout: the usual one escapes the control characters that move the cursor."""
    stdout: Any = sys.stdout
    with redirect_stdout(stdout.unescaped() if hasattr(stdout, "unescaped") else stdout):
        return make()
