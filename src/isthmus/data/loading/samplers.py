"""Samplers of whole batches: their rows depend only on the seed and the epoch."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

import torch
from torch import Tensor

from isthmus.core.seeding import derive_seed


class BatchRows(NamedTuple):
    """The rows of one batch, and its number within the epoch."""

    number: int
    rows: Tensor


class TrainBatches:
    """Shuffled batches, sharded over the processes.

    The order is a permutation seeded with (seed, epoch). As in DistributedSampler, the permutation is padded
    from its beginning, so that every process has the same number of rows.

    Args:
        rows: the training rows. Shape: [N].
        batch_size: rows in a batch of one process. The last batch may be smaller; a single row is added to
            the batch before.
        seed: of the order.
        rank: of this process.
        world_size: number of processes.
        epoch: the first epoch.
    """

    def __init__(
        self,
        rows: Tensor,
        *,
        batch_size: int,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
        epoch: int = 0,
    ) -> None:
        self.rows = rows
        self.batch_size = batch_size
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self.epoch = epoch

    def set_epoch(self, epoch: int) -> None:
        """Lightning calls this before each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self._cuts(-(-len(self.rows) // self.world_size)))

    def __iter__(self) -> Iterator[BatchRows]:
        generator = torch.Generator().manual_seed(derive_seed(self.seed, "order", self.epoch))
        order = self.rows[torch.randperm(len(self.rows), generator=generator)]
        if missing := -len(order) % self.world_size:
            order = torch.cat([order, order.repeat(missing // len(order) + 1)[:missing]])
        share = order[self.rank :: self.world_size]
        for number, rows in enumerate(share.split(self._cuts(len(share)))):
            yield BatchRows(number * self.world_size + self.rank, rows)

    def _cuts(self, share: int) -> list[int]:
        whole, rest = divmod(share, self.batch_size)
        cuts = [self.batch_size] * whole
        if rest == 1 and cuts:
            cuts[-1] += 1  # batch normalisation needs two examples
        elif rest:
            cuts.append(rest)
        return cuts


class BatchGroups:
    """Groups of training batches, for training steps with several optimizer steps.

    Args:
        batches: to group.
        size: batches in a group; the last group may be smaller.
        skip: batches of the first epoch to skip after a resume. Groups end where they do in a whole epoch; if
            no batch is left, there is one empty group.
    """

    def __init__(self, batches: TrainBatches, size: int, *, skip: int = 0) -> None:
        self.batches = batches
        self.size = size
        self.skip = skip
        self._first_epoch = batches.epoch

    def set_epoch(self, epoch: int) -> None:
        """Lightning calls this before each epoch."""
        self.batches.set_epoch(epoch)

    def __len__(self) -> int:
        return -(-len(self.batches) // self.size)

    @property
    def skipped(self) -> int:
        """Groups of the first epoch that are skipped."""
        return min(self.skip // self.size, len(self) - 1)

    def __iter__(self) -> Iterator[list[BatchRows]]:
        skip = self.skip if self.batches.epoch == self._first_epoch else 0
        blocks = islice(iter(self.batches), skip, None)
        first = list(islice(blocks, self.size - skip % self.size))
        if first or skip:
            yield first
        while group := list(islice(blocks, self.size)):
            yield group


class EvaluationBatches:
    """Batches in order, sharded over the processes, with each row exactly once.

    Whole batches are sharded, so that batch k has the same rows, and noise with the same seed, for any number
    of processes. In the last round, processes without a batch get an empty one: all make the same number of
    steps.

    Args:
        rows: the rows to evaluate. Shape: [N].
        batch_size: rows in a batch; the last may be smaller.
        rank: of this process.
        world_size: number of processes.
    """

    def __init__(self, rows: Tensor, *, batch_size: int, rank: int = 0, world_size: int = 1) -> None:
        self.blocks = rows.split(batch_size) if len(rows) else ()
        self.empty = rows[:0]
        self.rank = rank
        self.world_size = world_size

    def __len__(self) -> int:
        return -(-len(self.blocks) // self.world_size)

    def __iter__(self) -> Iterator[BatchRows]:
        for turn in range(len(self)):
            number = turn * self.world_size + self.rank
            yield BatchRows(number, self.blocks[number] if number < len(self.blocks) else self.empty)
