"""Loaders that take whole batches by index: nothing is collated example by example."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from isthmus.core.types import Batch
from isthmus.data.batches import Block
from isthmus.data.source import Source


class Batches(Dataset[Any]):
    """A source seen as a map from blocks of rows to batches, and from lists of blocks to lists of batches."""

    def __init__(self, source: Source) -> None:
        self.source = source

    def __getitem__(self, block: Block | list[Block]) -> Batch | list[Batch]:
        if isinstance(block, list):
            return [self._batch(each) for each in block]
        return self._batch(block)

    def _batch(self, block: Block) -> Batch:
        return Batch(self.source.take(block.rows), block.rows, block.number)


def loader(
    source: Source, blocks: Iterable[Block | list[Block]], *, num_workers: int, pin_memory: bool
) -> DataLoader[Any]:
    """A DataLoader over `blocks`; worker processes only for sources that are not in memory."""
    workers = 0 if source.resident else num_workers
    options: dict[str, Any] = {"persistent_workers": True, "prefetch_factor": 4} if workers else {}
    return DataLoader(
        Batches(source),
        sampler=blocks,
        batch_size=None,
        collate_fn=_as_it_is,
        num_workers=workers,
        pin_memory=pin_memory,
        generator=torch.Generator().manual_seed(0),
        **options,
    )


def _as_it_is(batch: Any) -> Any:
    return batch
