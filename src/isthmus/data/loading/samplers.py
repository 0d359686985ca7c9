"""Which rows make up each batch: a function of the seed and the epoch alone."""

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
    """Shuffled batches, dealt out to the processes that train together.

    The order is a permutation drawn from (seed, epoch). Every process gets the same number of rows: the
    permutation is filled up from its own beginning where it does not divide.

    Args:
        rows: the rows to train on. Shape: [N].
        batch_size: rows in a batch of one process; the last batch may be smaller, or larger by one row
            that would otherwise be left alone.
        seed: of the order.
        rank: which process this is.
        world_size: how many there are.
        epoch: to begin with.
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
            cuts[-1] += 1  # batch normalisation has no variance of one example
        elif rest:
            cuts.append(rest)
        return cuts


class BatchGroups:
    """Several training batches at a time, for training steps that make several optimizer steps.

    Args:
        batches: to group.
        size: batches in a group; the last group may be smaller.
        skip: batches of the epoch that `batches` begin with that were trained on before. The groups stay
            those of a whole epoch; where nothing is left, the last one is empty.
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
        """Groups of the first epoch that are not given any more."""
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
    """Batches in order, each row exactly once however many processes share them.

    Whole batches are dealt out, so batch k holds the same rows, and the noise drawn from its number is
    the same, for one process and for many. A process that is left without a batch in the last round
    gets an empty one: all processes take the same number of steps.

    Args:
        rows: the rows to evaluate. Shape: [N].
        batch_size: rows in a batch; the last may be smaller.
        rank: which process this is.
        world_size: how many there are.
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
