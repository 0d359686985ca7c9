"""Splits and batches any source, and says how its values are scaled. Imports no Lightning."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from isthmus.common.errors import BadInput, check_int
from isthmus.core.scaling import Scaling
from isthmus.core.types import Batch
from isthmus.data.loading.loaders import loader
from isthmus.data.loading.samplers import BatchGroups, EvaluationBatches, TrainBatches
from isthmus.data.loading.splits import Split, evenly_spaced, split_rows
from isthmus.data.memory import NoRoom, check_choice, check_room, fits_on_device
from isthmus.data.source import Reading, Source

GROUP_BYTES = 32 << 20  # largest group of batches, as float32
# copies of a batch in memory: examples and reconstructions; in training also the reconstructions' gradients
TRAINING_COPIES, EVALUATION_COPIES = 3, 2


class DataModule:
    """Splits a source and makes its loaders.

    Args:
        source: the data.
        batch_size: examples in a training batch of one process, or all examples if there are fewer.
        eval_batch_size: the same for validation, test and codes.
        val_size: fraction of the training rows, or a count, held out to choose the model; 0 for none.
        test_size: the same for the test rows; None if the source has an official test set.
        split_seed: seed of the split; separate from `seed`, so that runs with other seeds have the same test
            rows.
        num_workers: worker processes, for data that are decoded per batch.
        seed: of the training order.
        steps_per_execution: largest number of training batches in a group, for data that are not decoded per
            batch and a single process.
        on_device: whether to keep data that are in memory on the training GPU as well, and index them there:
            True, False, or "auto" if they take less than a quarter of its free memory.
        stratify: whether the parts have the same share of each class.
        train_where: a condition on columns or the label that training and validation rows must meet, such as
            ``"diagnosis == 'benign'"``; the test set is not restricted. None for all rows.
        split: the parts; None to draw them as the keys above say.

    Raises:
        BadInput: a setting is invalid, or batches would need more memory than is available.

    Attributes:
        train_batches: batches in an epoch of one process; set by `train_dataloader`.
        trainer: Lightning's Trainer, whose device and processes the loaders serve; None for the CPU.
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
        on_device: str | bool = "auto",
        stratify: bool = False,
        train_where: str | None = None,
        split: Split | None = None,
    ) -> None:
        self.source = source
        self.trainer: Any = None
        self.batch_size = check_int("batch_size", batch_size)
        self.eval_batch_size = check_int("eval_batch_size", eval_batch_size)
        self.num_workers = check_int("num_workers", num_workers, least=0)
        self.seed = seed
        self.steps_per_execution = steps_per_execution
        self.on_device = on_device
        check_choice("on_device", on_device)
        if on_device is True and source.values is None:
            fix = "needs the data in memory: use data.in_memory=true, or auto here"
            raise BadInput("on_device", on_device, fix)
        self.train_batches = 0
        self._held: Tensor | None = None  # the values on the training device
        self._start = (0, 0)
        self.split = split or split_rows(
            source,
            val_size=val_size,
            test_size=test_size,
            split_seed=split_seed,
            stratify=stratify,
            train_where=train_where,
        )
        self.scaling: Scaling = source.scaling(self.split.train)
        self._check_batch("batch_size", batch_size, len(self.split.train), TRAINING_COPIES)
        held_out = max(len(self.split.val), len(self.split.test))
        self._check_batch("eval_batch_size", eval_batch_size, held_out, EVALUATION_COPIES)

    def _check_batch(self, key: str, asked: int, rows: int, copies: int) -> None:
        """Raise `BadInput` for batches that exceed the memory even without the model."""
        count = min(asked, rows)
        size = count * math.prod(self.source.shape) * torch.float32.itemsize * copies
        try:
            check_room(size, f"a batch of {count:,} examples", f"use a smaller data.{key}")
        except NoRoom as error:
            raise BadInput(key, asked, str(error)) from error

    def start_at(self, epoch: int, batch: int) -> int:
        """Resume at this batch of this epoch; returns the number of items that its loader skips."""
        self._start = epoch, batch
        return self._groups().skipped

    def train_dataloader(self) -> DataLoader[Any]:
        groups = self._groups()
        self.train_batches = len(groups.batches)
        return self._loader(groups)

    def _groups(self) -> BatchGroups:
        epoch, batch = self._start
        blocks = TrainBatches(
            self.split.train,
            batch_size=self.batch_size,
            seed=self.seed,
            rank=self._rank,
            world_size=self._world_size,
            epoch=epoch,
        )
        # workers would decode too far ahead, and several processes synchronize at each step anyway
        grouped = self.source.reading is not Reading.DECODED and self._world_size == 1
        return BatchGroups(blocks, min(self.steps_per_execution, self._room()) if grouped else 1, skip=batch)

    def _room(self) -> int:
        """Batches whose float32 values fit into `GROUP_BYTES`, at least 1."""
        batch = self.batch_size * math.prod(self.source.shape) * torch.float32.itemsize
        return max(1, GROUP_BYTES // batch)

    def val_dataloader(self) -> DataLoader[Batch] | list[Any]:
        return self._evaluation(self.split.val)

    def test_dataloader(self) -> DataLoader[Batch] | list[Any]:
        return self._evaluation(self.split.test)

    def whole_loader(self, rows: Tensor) -> DataLoader[Batch]:
        """All of `rows` in order, not sharded over processes; for codes and figures."""
        return self._loader(EvaluationBatches(rows, batch_size=self.eval_batch_size))

    @property
    def held_out(self) -> Tensor:
        """The rows of the first of test, validation and training set that is not empty."""
        return next(rows for rows in (self.split.test, self.split.val, self.split.train) if len(rows))

    def spread(self, rows: Tensor, count: int) -> Tensor:
        """At most `count` examples, evenly spaced among `rows`, as stored. Shape: [B, ...]."""
        return self.source.take(self.some(rows, count))

    def some(self, rows: Tensor, count: int) -> Tensor:
        """At most `count` of `rows`, evenly spaced. Shape: [*]."""
        return evenly_spaced(rows, count)

    def describe(self) -> dict[str, Any]:
        """The description of the data that a run records, in plain types."""
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
        return loader(
            self.source,
            blocks,
            num_workers=self.num_workers,
            pin_memory=self._device.type == "cuda",
            values=self._values_on_device(),
        )

    def _values_on_device(self) -> Tensor | None:
        values, device = self.source.values, self._device
        if values is not None and (self._held is None or self._held.device != device):
            fits = fits_on_device(values.nbytes, device, self.on_device)
            self._held = values.to(device) if fits else None
        return self._held

    @property
    def _device(self) -> torch.device:
        return self.trainer.strategy.root_device if self.trainer else torch.device("cpu")

    @property
    def _rank(self) -> int:
        return self.trainer.global_rank if self.trainer else 0

    @property
    def _world_size(self) -> int:
        return self.trainer.world_size if self.trainer else 1
