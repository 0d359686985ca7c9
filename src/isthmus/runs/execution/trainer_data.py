"""A `DataModule` as Lightning's Trainer takes it: without it, opening data imports no Lightning."""

from __future__ import annotations

from typing import Any

import torch
from pytorch_lightning import LightningDataModule

from isthmus.core.types import Batch, BatchGroup
from isthmus.data.module import DataModule


class TrainerData(LightningDataModule):
    """Passes the hooks of Lightning on to a `DataModule`, and to it the Trainer."""

    def __init__(self, data: DataModule) -> None:
        super().__init__()
        self.data = data

    def setup(self, stage: str) -> None:
        self.data.trainer = self.trainer

    def train_dataloader(self) -> Any:
        return self.data.train_dataloader()

    def val_dataloader(self) -> Any:
        return self.data.val_dataloader()

    def test_dataloader(self) -> Any:
        return self.data.test_dataloader()

    def transfer_batch_to_device(
        self, batch: Batch | BatchGroup, device: torch.device, dataloader_idx: int
    ) -> Batch | BatchGroup:
        """Move only the examples: row and block numbers are used on the host."""
        return batch._replace(x=batch.x.to(device, non_blocking=True))

    @property
    def train_batches(self) -> int:
        """See `DataModule`."""
        return self.data.train_batches

    def start_at(self, epoch: int, batch: int) -> int:
        """See `DataModule.start_at`."""
        return self.data.start_at(epoch, batch)
