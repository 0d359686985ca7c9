"""A progress bar for terminals."""

from __future__ import annotations

from typing import Any

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import TQDMProgressBar

REFRESH_EVERY = 20  # batches: a redraw costs as much as a small training step


class Bar(TQDMProgressBar):
    """Lightning's bar, with the loss of the last batch and of the last validation."""

    def __init__(self) -> None:
        super().__init__(refresh_rate=REFRESH_EVERY)

    def get_metrics(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, Any]:
        shown: dict[str, Any] = {}
        latest = getattr(pl_module, "latest", None)
        if latest is not None:
            shown["loss"] = f"{latest.objective.item():.4g}"
        if "val/loss" in trainer.callback_metrics:
            shown["val/loss"] = f"{trainer.callback_metrics['val/loss'].item():.4g}"
        return shown
