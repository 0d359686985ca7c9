"""The one LightningDataModule: any source, split, scaled and batched."""

from __future__ import annotations

from typing import Any

import torch
from pytorch_lightning import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader

from isthmus.core.errors import whole
from isthmus.core.scaling import Scaling
from isthmus.core.types import Batch
from isthmus.data.batches import EvaluationBatches, Groups, TrainBatches
from isthmus.data.loaders import loader
from isthmus.data.source import Source
from isthmus.data.splits import draw_split


class DataModule(LightningDataModule):
    """Splits a source and hands out loaders.

    Args:
        source: the checked data.
        batch_size: examples in a training batch of one process.
        eval_batch_size: examples in a batch when nothing is trained.
        val_size: fraction of the training rows, or a count, that is held out to choose the model; 0 for none.
        test_size: the same for the test rows; None where the source has an official test set.
        split_seed: of the split, apart from `seed` so that runs with other seeds are tested on the same rows.
        num_workers: worker processes, for data that are not in memory.
        seed: of the order in training.
        steps_per_execution: training batches handed over at a time, for data in memory and one process.

    Attributes:
        train_batches: batches in an epoch of one process, once the training loader is made.
    """

    def __init__(
        self,
        source: Source,
        *,
        batch_size: int,
        eval_batch_size: int,
        val_size: float | int,
        test_size: float | int | None = None,
        split_seed: int,
        num_workers: int,
        seed: int,
        steps_per_execution: int = 1,
    ) -> None:
        super().__init__()
        self.source = source
        self.batch_size = whole("batch_size", batch_size)
        self.eval_batch_size = whole("eval_batch_size", eval_batch_size)
        self.num_workers = whole("num_workers", num_workers, least=0)
        self.seed = seed
        self.steps_per_execution = steps_per_execution
        self.train_batches = 0
        self._start = (0, 0)
        self.split = draw_split(
            len(source),
            test_rows=source.test_rows,
            val_size=val_size,
            test_size=test_size,
            seed=whole("split_seed", split_seed, least=0),
        )
        self.scaling: Scaling = source.scaling(self.split.train)

    def start_at(self, epoch: int, batch: int) -> int:
        """Begin with this batch of this epoch; returns how many items the loader of the epoch leaves out."""
        self._start = epoch, batch
        return self._groups().skipped

    def train_dataloader(self) -> DataLoader[Any]:
        groups = self._groups()
        self.train_batches = len(groups.batches)
        return self._loader(groups)

    def _groups(self) -> Groups:
        epoch, batch = self._start
        blocks = TrainBatches(
            self.split.train,
            batch_size=self.batch_size,
            seed=self.seed,
            rank=self._rank,
            world_size=self._world_size,
            epoch=epoch,
        )
        # Streamed data would be read far ahead, and processes wait for each other at each step anyway.
        grouped = self.source.resident and self._world_size == 1
        return Groups(blocks, self.steps_per_execution if grouped else 1, skip=batch)

    def val_dataloader(self) -> DataLoader[Batch] | list[Any]:
        return self._evaluation(self.split.val)

    def test_dataloader(self) -> DataLoader[Batch] | list[Any]:
        return self._evaluation(self.split.test)

    def transfer_batch_to_device(
        self, batch: Batch | list[Batch], device: torch.device, dataloader_idx: int
    ) -> Batch | list[Batch]:
        """Move the examples alone: the rows and the block number are used on the host."""
        if isinstance(batch, list):
            return [_moved(each, device) for each in batch]
        return _moved(batch, device)

    def whole_loader(self, rows: Tensor) -> DataLoader[Batch]:
        """All of `rows` in order for this process alone, for codes and figures."""
        return self._loader(EvaluationBatches(rows, batch_size=self.eval_batch_size))

    def describe(self) -> dict[str, Any]:
        """What a run records of its data, in plain types."""
        sizes = {name: len(rows) for name, rows in self.split._asdict().items()}
        return {**self.source.describe(), "split": sizes, "split_fingerprint": self.split.fingerprint()}

    def _evaluation(self, rows: Tensor) -> DataLoader[Batch] | list[Any]:
        if not len(rows):
            return []
        return self._loader(
            EvaluationBatches(
                rows, batch_size=self.eval_batch_size, rank=self._rank, world_size=self._world_size
            )
        )

    def _loader(self, blocks: Any) -> DataLoader[Batch]:
        return loader(self.source, blocks, num_workers=self.num_workers, pin_memory=torch.cuda.is_available())

    @property
    def _rank(self) -> int:
        return self.trainer.global_rank if self.trainer else 0

    @property
    def _world_size(self) -> int:
        return self.trainer.world_size if self.trainer else 1


def _moved(batch: Batch, device: torch.device) -> Batch:
    if batch.x.device == device:
        return batch
    return batch._replace(x=batch.x.to(device, non_blocking=True))
