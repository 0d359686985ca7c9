"""Latent checkpoints: the codes of the validation and test sets beside each checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from lightning_fabric.utilities.rank_zero import rank_zero_only
from pytorch_lightning import Trainer

from isthmus.common.atomic_files import same_content
from isthmus.training.callbacks.run_callback import RunCallback, RunContext
from isthmus.training.inference import encode_all
from isthmus.training.module import AutoencoderModule
from isthmus.training.writers.latent_file import write_latents


class Latents(RunCallback):
    """Writes latents/step=00000469_val.safetensors (and _test) with each checkpoint by epochs or steps.

    A checkpoint by minutes or at a signal has none, so that an interrupted run has the same files as any
    other and stops without delay. best_val.safetensors (and best_test) are the codes of the best checkpoint.

    Each file contains what `encode_all` returns, and ``labels`` if the data have them. Its metadata have one
    entry, ``isthmus``, a JSON object with ``step``, ``label_names`` and a checksum (see
    `training.writers.latent_file`).
    """

    def __init__(self) -> None:
        self._written_at = -1

    def attach(self, run: RunContext) -> None:
        source, split = run.data.source, run.data.split
        self._folder = run.folder / "latents"
        self._background = run.background
        self._labels, self._label_names = source.labels, source.label_names
        parts = {"val": split.val, "test": split.test}
        self._loaders = {name: run.data.whole_loader(rows) for name, rows in parts.items() if len(rows)}
        run.before_checkpoint(self._write)

    @rank_zero_only
    def _write(self, module: AutoencoderModule, step: int, best: bool) -> None:
        for part, loader in self._loaders.items() if step != self._written_at else ():
            tensors = encode_all(module, loader)
            if self._labels is not None:
                tensors["labels"] = self._labels[tensors["ids"]]
            size = sum(tensor.nbytes for tensor in tensors.values())
            about = {"step": step, "label_names": self._label_names}
            write = partial(write_latents, self._path(part, step), tensors, about)
            self._background.add(write, size=size)
        self._written_at = step
        if best:
            self._background.add(partial(self._mark_best, step))

    @rank_zero_only
    def on_run_end(self, trainer: Trainer, module: AutoencoderModule, results: Mapping[str, Any]) -> None:
        self._background.add(partial(self._mark_best, results["step"]))

    def _path(self, part: str, step: int) -> Path:
        return self._folder / f"step={step:08d}_{part}.safetensors"

    def _mark_best(self, step: int) -> None:
        for part in self._loaders:
            path, best = self._path(part, step), self._folder / f"best_{part}.safetensors"
            if not path.is_file():
                best.unlink(missing_ok=True)
            elif not (best.is_file() and best.samefile(path)):
                same_content(path, best)
