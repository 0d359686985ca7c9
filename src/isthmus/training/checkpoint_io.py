"""Checkpoints that are whole or not there: written beside their place, then renamed into it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from lightning_fabric.plugins import TorchCheckpointIO

from isthmus.core.atomic import replacing


class AtomicCheckpointIO(TorchCheckpointIO):
    """Lightning's own writes its temporary file elsewhere, from where a rename may not be atomic."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None
    ) -> None:
        with replacing(Path(path)) as beside, beside.open("wb") as file:
            torch.save(checkpoint, file)
            file.flush()
            os.fsync(file.fileno())
