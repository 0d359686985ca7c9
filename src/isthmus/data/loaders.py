"""Loaders that take whole batches by index: nothing is collated example by example."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from isthmus.core.types import Batch, Group
from isthmus.data.ahead import made_ahead
from isthmus.data.batches import Block
from isthmus.data.source import Reading, Source

AHEAD = 4  # items that a thread reads ahead
ROOM = 64 << 20  # bytes of them
MOST_WORKERS = 4 * (os.cpu_count() or 1)  # of a config that asks for more, which may be of a larger machine


class Batches(Dataset[Any]):
    """A source seen as a map from blocks of rows to batches, and from lists of blocks to groups of them.

    Args:
        source: of the data.
        values: all of its values on another device, from where they are taken then; None for none.
    """

    def __init__(self, source: Source, values: Tensor | None = None) -> None:
        self.source = source
        self.values = values

    def __getitem__(self, block: Block | list[Block]) -> Batch | Group:
        rows = rows_of(block)
        if isinstance(block, Block):
            return Batch(self._take(rows), rows, block.number)
        numbers, sizes = (each.number for each in block), (len(each.rows) for each in block)
        return Group(self._take(rows), rows, tuple(numbers), tuple(sizes))

    def _take(self, rows: Tensor) -> Tensor:
        if self.values is None:
            return self.source.take(rows)
        return self.values.index_select(0, rows.to(self.values.device, non_blocking=True))


def rows_of(block: Block | list[Block]) -> Tensor:
    """The rows of a block, or of several blocks one after another. Shape: [N]."""
    if isinstance(block, Block):
        return block.rows
    return torch.cat([each.rows for each in block]) if block else torch.empty(0, dtype=torch.int64)


class Direct(DataLoader[Any]):
    """A DataLoader that takes items from memory: what the others do for each costs as much again."""

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        return super().__iter__() if self.pin_memory else map(self.dataset.__getitem__, self.sampler)


class Ahead(DataLoader[Any]):
    """A DataLoader whose items one thread of this process reads while those before are used."""

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        source = self.dataset.source  # type: ignore[attr-defined]
        width = torch.Size(source.shape).numel() * source.take(torch.empty(0, dtype=torch.int64)).itemsize
        # a new thread would pin for the first GPU, whichever this process trains on
        device = torch.cuda.current_device() if self.pin_memory else None

        def read(block: Block | list[Block]) -> Batch | Group:
            item: Batch | Group = self.dataset[block]
            if device is None:
                return item
            with torch.cuda.device(device):
                return item._replace(x=item.x.pin_memory())

        def size(block: Block | list[Block]) -> int:
            return len(rows_of(block)) * width

        return made_ahead(self.sampler, read, size=size, most=AHEAD, room=ROOM)


def loader(
    source: Source,
    blocks: Iterable[Block | list[Block]],
    *,
    num_workers: int,
    pin_memory: bool,
    values: Tensor | None = None,
) -> DataLoader[Any]:
    """A DataLoader over `blocks`, which reads as `source.reading` asks for; see `Batches` for `values`."""
    workers = min(num_workers, MOST_WORKERS) if source.reading is Reading.DECODED else 0
    options: dict[str, Any] = {"persistent_workers": True, "prefetch_factor": 4} if workers else {}
    kind = {Reading.MEMORY: Direct, Reading.MAPPED: Ahead}.get(source.reading, DataLoader)
    return kind(
        Batches(source, values),
        sampler=blocks,
        batch_size=None,
        collate_fn=_as_it_is,
        num_workers=workers,
        pin_memory=pin_memory and values is None,
        generator=torch.Generator().manual_seed(0),
        **options,
    )


def _as_it_is(batch: Any) -> Any:
    return batch
