"""TensorBoard's projector over the codes of held-out examples."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning_fabric.utilities.rank_zero import rank_zero_only
from pytorch_lightning import Trainer

from isthmus.common.errors import check_int
from isthmus.common.failures import WarnOnFailure
from isthmus.training.callbacks.run_callback import RunCallback, RunContext
from isthmus.training.inference import encode_all
from isthmus.training.loggers import tensorboard_of
from isthmus.training.module import AutoencoderModule
from isthmus.training.writers.projector import thumbnails, write_projector


class Projector(RunCallback):
    """Writes the codes of the best weights, with labels and thumbnails, if the run logs to TensorBoard.

    Args:
        points: largest number of codes, at least 1.
    """

    def __init__(self, *, points: int) -> None:
        self.points = check_int("points", points)

    def attach(self, run: RunContext) -> None:
        self.data = run.data

    @rank_zero_only
    def on_run_end(self, trainer: Trainer, module: AutoencoderModule, results: Mapping[str, Any]) -> None:
        writer = tensorboard_of(trainer.loggers)
        if writer is not None:
            with WarnOnFailure("the projector could not be written"):
                self._write(module, Path(writer.log_dir))

    def _write(self, module: AutoencoderModule, folder: Path) -> None:
        source, rows = self.data.source, self.data.held_out[: self.points]
        codes = encode_all(module, self.data.whole_loader(rows))
        if source.labels is not None:
            codes["labels"] = source.labels[rows]
        with torch.no_grad():
            x = module.scaling.cpu()(source.take(rows))
        images = thumbnails(x, module.value_range)
        names = None if source.ids is None else [source.ids[row] for row in rows.tolist()]
        write_projector(folder, codes, label_names=source.label_names, images=images, names=names)
