"""Latent checkpoints: the codes of the validation and test sets beside each checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from lightning_fabric.utilities.rank_zero import rank_zero_only
from pytorch_lightning import Callback, Trainer
from safetensors.torch import save
from torch import Tensor
from torch.utils.data import DataLoader

from isthmus.common.atomic_files import make_subfolder, replacing
from isthmus.core.types import Batch
from isthmus.training.inference import encode_all
from isthmus.training.module import AutoencoderModule
from isthmus.training.writers.background import Background
from isthmus.training.writers.latent_file import metadata


class Latents(Callback):
    """Writes `folder`/step=00000469_val.safetensors (and _test) with each checkpoint by epochs or steps.

    Not with those by minutes or at a signal: an interrupted run then has the same files as any other, and
    stops without delay.

    Each file contains what `encode_all` returns, and ``labels`` if the data have them. Its metadata have one
    entry, ``isthmus``, a JSON object with ``step``, ``label_names`` and a checksum (see
    `training.writers.latent_file`).

    Args:
        loaders: by part (val, test), each over its rows in order.
        labels: of every row of the source, or None. Shape: [N].
        label_names: see `Source`.
        folder: of the files.
        background: writes them.
    """

    def __init__(
        self,
        loaders: Mapping[str, DataLoader[Batch]],
        *,
        labels: Tensor | None,
        label_names: list[str] | None,
        folder: Path,
        background: Background,
    ) -> None:
        self.background = background
        self.loaders = loaders
        self.labels = labels
        self.label_names = label_names
        self.folder = folder
        self._written_at = -1

    def on_save_checkpoint(  # type: ignore[override]
        self, trainer: Trainer, pl_module: AutoencoderModule, checkpoint: dict[str, Any]
    ) -> None:
        if getattr(trainer.checkpoint_callback, "planned", True):
            self._write(trainer.global_step, pl_module)

    @rank_zero_only
    def _write(self, step: int, module: AutoencoderModule) -> None:
        if step == self._written_at:  # best and last are saved at the same step
            return
        self._written_at = step
        for part, loader in self.loaders.items():
            tensors = encode_all(module, loader)
            if self.labels is not None:
                tensors["labels"] = self.labels[tensors["ids"]]
            path = self.folder / f"step={step:08d}_{part}.safetensors"
            size = sum(tensor.nbytes for tensor in tensors.values())
            self.background.add(partial(self._save, tensors, path, step), size=size)

    def _save(self, tensors: dict[str, Tensor], path: Path, step: int) -> None:
        dense = {name: tensor.contiguous() for name, tensor in tensors.items()}
        about = {"step": step, "label_names": self.label_names}
        make_subfolder(path.parent)
        with replacing(path) as beside:
            beside.write_bytes(save(dense, metadata(about, save(dense))))
