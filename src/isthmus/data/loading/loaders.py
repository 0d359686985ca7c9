"""DataLoaders that read whole batches by index, without collating single examples."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from isthmus.core.types import Batch, BatchGroup
from isthmus.data.loading.prefetch import prefetch
from isthmus.data.loading.samplers import BatchRows
from isthmus.data.source import Reading, Source

PREFETCHED = 4  # items that the thread of `PrefetchLoader` reads ahead
ROOM = 64 << 20  # bytes of these items
MOST_WORKERS = 4 * (os.cpu_count() or 1)  # a config may come from a larger machine


class SourceDataset(Dataset[Any]):
    """Maps blocks of rows to batches, and lists of blocks to groups of batches.

    Args:
        source: of the data.
        values: a copy of its values on the training device, which is then indexed; None for none.
    """

    def __init__(self, source: Source, values: Tensor | None = None) -> None:
        self.source = source
        self.values = values

    def __getitem__(self, block: BatchRows | list[BatchRows]) -> Batch | BatchGroup:
        rows = rows_of(block)
        if isinstance(block, BatchRows):
            return Batch(self._take(rows), rows, block.number)
        numbers, sizes = (each.number for each in block), (len(each.rows) for each in block)
        return BatchGroup(self._take(rows), rows, tuple(numbers), tuple(sizes))

    def _take(self, rows: Tensor) -> Tensor:
        if self.values is None:
            return self.source.take(rows)
        return self.values.index_select(0, rows.to(self.values.device, non_blocking=True))


def rows_of(block: BatchRows | list[BatchRows]) -> Tensor:
    """The rows of a block, or of several blocks concatenated. Shape: [N]."""
    if isinstance(block, BatchRows):
        return block.rows
    return torch.cat([each.rows for each in block]) if block else torch.empty(0, dtype=torch.int64)


class PrefetchLoader(DataLoader[Any]):
    """A DataLoader that reads ahead in a thread of this process."""

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        source = self.dataset.source  # type: ignore[attr-defined]
        width = torch.Size(source.shape).numel() * source.take(torch.empty(0, dtype=torch.int64)).itemsize
        # the current device of a new thread is the first GPU
        device = torch.cuda.current_device() if self.pin_memory else None

        def read(block: BatchRows | list[BatchRows]) -> Batch | BatchGroup:
            item: Batch | BatchGroup = self.dataset[block]
            if device is None:
                return item
            with torch.cuda.device(device):
                return item._replace(x=item.x.pin_memory())

        def size(block: BatchRows | list[BatchRows]) -> int:
            return len(rows_of(block)) * width

        return prefetch(self.sampler, read, size=size, most=PREFETCHED, room=ROOM)


def loader(
    source: Source,
    blocks: Iterable[BatchRows | list[BatchRows]],
    *,
    num_workers: int,
    pin_memory: bool,
    values: Tensor | None = None,
) -> DataLoader[Any]:
    """The DataLoader over `blocks` that suits `source.reading`; for `values` see `SourceDataset`."""
    workers = min(num_workers, MOST_WORKERS) if source.reading is Reading.DECODED else 0
    options: dict[str, Any] = {"persistent_workers": True, "prefetch_factor": 4} if workers else {}
    kind = PrefetchLoader if source.reading is Reading.MAPPED else DataLoader
    return kind(
        SourceDataset(source, values),
        sampler=blocks,
        batch_size=None,
        collate_fn=_identity,
        num_workers=workers,
        pin_memory=pin_memory and values is None,
        generator=torch.Generator().manual_seed(0),
        **options,
    )


def _identity(batch: Any) -> Any:
    return batch
