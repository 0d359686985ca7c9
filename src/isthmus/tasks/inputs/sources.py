"""Examples in a `Source`: a file, a folder, or a table in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from isthmus.data.source import Source
from isthmus.tasks.inputs.examples import Accepted, Examples


class SourceExamples(Examples):
    """The rows of a source whose data are read as in training.

    Args:
        source: of data of the shape that the model accepts.
        accepted: by the model.
        rows: of the source, in this order; None for all. Shape: [N].
        restore: converts stored values to what `restored` returns; None to return them as an array.
    """

    def __init__(
        self,
        source: Source,
        accepted: Accepted,
        *,
        rows: Tensor | None = None,
        restore: Callable[[Tensor], Any] | None = None,
    ) -> None:
        self.source, self.accepted, self.shape = source, accepted, accepted.shape
        self.rows: Tensor = torch.arange(len(source)) if rows is None else rows
        self._restore = restore or Tensor.numpy
        self.labels = None if source.labels is None else source.labels[self.rows]
        self.label_names = source.label_names
        self.names = source.ids
        if rows is not None and source.ids is not None:
            self.names = [source.ids[row] for row in rows.tolist()]
        self.remarks = source.remarks(torch.arange(0))

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, start: int, stop: int) -> Tensor:
        stored = self.source.take(self.rows[start:stop])
        self.accepted.check(stored, start, scaled=False)
        return self.accepted.scaling(stored)

    def restored(self, x: Tensor) -> Any:
        return self._restore(self.accepted.scaling.invert(x.float().cpu()))
