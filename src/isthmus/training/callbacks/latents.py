"""Latent checkpoints: the codes of the validation and test sets beside each checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from lightning_fabric.utilities.rank_zero import rank_zero_only
from pytorch_lightning import Trainer

from isthmus.common.atomic_files import remove, same_content
from isthmus.common.errors import one_of
from isthmus.common.tensor_file import write_tensors
from isthmus.training.callbacks.run_callback import RunCallback, RunContext
from isthmus.training.inference import encode_all
from isthmus.training.module import AutoencoderModule


def latents_path(folder: Path, part: str, step: int) -> Path:
    """The file with the codes of a part of the data at a step."""
    return folder / f"step={step:08d}_{part}.safetensors"


class Latents(RunCallback):
    """Writes latents/step=00000469_val.safetensors (and _test) with each checkpoint by epochs or steps.

    A checkpoint by minutes or at a signal has none, so that an interrupted run has the same files as any
    other and stops without delay. best_val.safetensors (and best_test) are the codes of the best checkpoint.

    Each file contains what `encode_all` returns, and ``labels`` if the data have them. Its metadata have one
    entry, ``isthmus``, a JSON object with ``step``, ``label_names``, ``names`` (what the user calls each row,
    if the data say so) and a checksum (see `common.tensor_file`).

    Args:
        keep: "all" for the codes of each checkpoint; "last" for those of the best and the last one; "best"
            for those of the best one.
    """

    def __init__(self, *, keep: str = "all") -> None:
        self.keep = one_of("keep", keep, ("best", "last", "all"))
        self._written_at = -1
        self._best_at = -1

    def attach(self, run: RunContext) -> None:
        source, split = run.data.source, run.data.split
        self._folder = run.folder / "latents"
        self._background = run.background
        self._source = source
        parts = {"val": split.val, "test": split.test}
        self._loaders = {name: run.data.whole_loader(rows) for name, rows in parts.items() if len(rows)}
        run.before_checkpoint(self._write)

    def state_dict(self) -> dict[str, Any]:
        return {"written_at": self._written_at, "best_at": self._best_at}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._written_at = state_dict.get("written_at", -1)
        self._best_at = state_dict.get("best_at", -1)

    @rank_zero_only
    def _write(self, module: AutoencoderModule, step: int, best: bool) -> None:
        before, self._written_at = self._written_at, step
        if best:
            self._best_at = step
        for part, loader in self._loaders.items() if step != before and (best or self.keep != "best") else ():
            tensors = encode_all(module, loader)
            about: dict[str, Any] = {"step": step, "label_names": self._source.label_names}
            if self._source.labels is not None:
                tensors["labels"] = self._source.labels[tensors["ids"]]
            if self._source.ids is not None:
                about["names"] = [self._source.ids[row] for row in tensors["ids"].tolist()]
            size = sum(tensor.nbytes for tensor in tensors.values())
            write = partial(write_tensors, self._path(part, step), tensors, about)
            self._background.add(write, size=size)
        if best:
            self._background.add(partial(self._mark_best, step))
        # a run that is killed before the next checkpoint resumes from the one before
        self._background.add(partial(self._remove_others, {step, before, self._best_at}))

    @rank_zero_only
    def on_run_end(self, trainer: Trainer, module: AutoencoderModule, results: Mapping[str, Any]) -> None:
        self._background.add(partial(self._mark_best, results["step"]))
        last = {self._written_at} if self.keep == "last" else set()
        self._background.add(partial(self._remove_others, {results["step"], *last}))

    def _path(self, part: str, step: int) -> Path:
        return latents_path(self._folder, part, step)

    def _mark_best(self, step: int) -> None:
        for part in self._loaders:
            path, best = self._path(part, step), self._folder / f"best_{part}.safetensors"
            if not path.is_file():
                remove(best)
            elif not (best.is_file() and best.samefile(path)):
                same_content(path, best)

    def _remove_others(self, steps: set[int]) -> None:
        if self.keep == "all":
            return
        kept = {self._path(part, step) for part in self._loaders for step in steps}
        for path in self._folder.glob("step=*.safetensors"):
            if path not in kept:
                remove(path)
