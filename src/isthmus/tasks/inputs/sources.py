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
        restore: converts stored values to what `restored` returns; None to return them as an array.
    """

    def __init__(
        self,
        source: Source,
        accepted: Accepted,
        *,
        restore: Callable[[Tensor], Any] | None = None,
    ) -> None:
        self.source, self.accepted, self.shape = source, accepted, accepted.shape
        self._restore = restore or Tensor.numpy
        self.names, self.labels, self.label_names = source.ids, source.labels, source.label_names
        self.remarks = source.remarks(torch.arange(0))

    def __len__(self) -> int:
        return len(self.source)

    def take(self, start: int, stop: int) -> Tensor:
        stored = self.source.take(torch.arange(start, min(stop, len(self))))
        self.accepted.check(stored, start, scaled=False)
        return self.accepted.scaling(stored)

    def restored(self, x: Tensor) -> Any:
        return self._restore(self.accepted.scaling.invert(x.float().cpu()))
