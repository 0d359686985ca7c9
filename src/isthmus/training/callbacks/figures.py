"""Grids of reconstructions during training, and pictures of the whole run at its end; also in TensorBoard."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning_fabric.utilities.rank_zero import rank_zero_only
from pytorch_lightning import Trainer

from isthmus.common.errors import check_bool, check_int
from isthmus.common.failures import WarnOnFailure
from isthmus.core.seeding import default_generator, derive_seed
from isthmus.training.callbacks.latents import latents_path
from isthmus.training.callbacks.run_callback import RunCallback, RunContext
from isthmus.training.inference import evaluating
from isthmus.training.loggers import tensorboard_of
from isthmus.training.module import AutoencoderModule
from isthmus.training.writers.image_grid import image_grid, save_png


class Figures(RunCallback):
    """Grids show the same examples each time, with the same noise; of images only, not of tables.

    Args:
        every_n_epochs: epochs between two grids, at least 1. The first is after epoch 1, and the end of
            training always has one.
        columns: examples in a grid, at least 1.
        summary: whether the run ends with the pictures of `figures.summary`; they are drawn once, after the
            test. Runs of older formats have none.
    """

    def __init__(self, *, every_n_epochs: int, columns: int, summary: bool = False) -> None:
        self.every_n_epochs = check_int("every_n_epochs", every_n_epochs)
        self.columns = check_int("columns", columns)
        self.summary = check_bool("summary", summary)
        self._stored: torch.Tensor | None = None
        self._drawn_at = -1
        self._warned = WarnOnFailure("a figure could not be drawn")

    def attach(self, run: RunContext) -> None:
        self._run = run
        self._folder = run.folder / "figures"
        self._background = run.background
        if len(run.data.source.shape) == 3:
            self._stored = run.data.spread(run.data.held_out, self.columns)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: AutoencoderModule) -> None:  # type: ignore[override]
        if trainer.current_epoch % self.every_n_epochs == 0:
            self._draw(trainer, pl_module)

    def on_fit_end(self, trainer: Trainer, pl_module: AutoencoderModule) -> None:  # type: ignore[override]
        self._draw(trainer, pl_module)

    @rank_zero_only
    def on_run_end(self, trainer: Trainer, module: AutoencoderModule, results: Mapping[str, Any]) -> None:
        if not self.summary:
            return
        self._background.flush()  # metrics and codes that are drawn
        with self._warned:
            self._summarize(trainer, module, results)

    def _summarize(self, trainer: Trainer, module: AutoencoderModule, results: Mapping[str, Any]) -> None:
        from isthmus.training.figures.summary import Summary

        run, label = self._run, self._run.config.get("data.label")
        summary = Summary(
            module,
            run.data,
            run.folder,
            results,
            latents=lambda part: latents_path(run.folder / "latents", part, results["step"]),
            label=label if isinstance(label, str) else "class",
        )
        for name, draw in summary.drawings().items():
            with self._warned:  # the others are drawn nevertheless
                picture = draw()
                if picture is not None:
                    self._keep(trainer, picture, name, f"{name}.png")

    def state_dict(self) -> dict[str, Any]:
        return {"drawn_at": self._drawn_at}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._drawn_at = state_dict["drawn_at"]

    @rank_zero_only
    def _draw(self, trainer: Trainer, module: AutoencoderModule) -> None:
        """Draw the grid of this step, unless it was drawn already."""
        if self._stored is None or trainer.global_step == self._drawn_at:
            return
        self._drawn_at = trainer.global_step
        with self._warned:
            self._write(trainer, module, self._stored)

    def _write(self, trainer: Trainer, module: AutoencoderModule, stored: torch.Tensor) -> None:
        autoencoder = module.autoencoder
        with evaluating(module):
            x = module.scaling(stored.to(module.device))
            default_generator(module.device).manual_seed(derive_seed(module.seed, "figures"))
            noisy = autoencoder.noise(x)
            rows = {"input": x, "noisy input": noisy, "reconstruction": autoencoder.reconstruct(noisy)}
        if noisy is x:
            del rows["noisy input"]
        title = f"{len(x)} held-out examples at step {trainer.global_step:,}"
        grid = image_grid(list(rows.values()), value_range=module.value_range, title=title, names=list(rows))
        self._keep(trainer, grid, "reconstruction", f"reconstruction_step={trainer.global_step:08d}.png")

    def _keep(self, trainer: Trainer, picture: torch.Tensor, name: str, file: str) -> None:
        """Write a picture to the folder and to TensorBoard."""
        self._background.add(partial(self._save, picture, self._folder / file), size=picture.nbytes)
        writer = tensorboard_of(trainer.loggers)
        if writer is not None:
            writer.add_image(f"figures/{name}", picture, trainer.global_step)

    def _save(self, grid: torch.Tensor, path: Path) -> None:
        with self._warned:
            save_png(grid, path)
