"""Examples in a `Source`: a file, a folder, or a table in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from isthmus.common.errors import BadInput
from isthmus.data.source import Source
from isthmus.tasks.inputs.examples import Accepted, Examples

if TYPE_CHECKING:
    import pyarrow as pa


class SourceExamples(Examples):
    """The rows of a source whose data are read as in training.

    Args:
        source: of data of the shape that the model accepts.
        accepted: by the model.
        rows: of the source, in this order; None for all. Shape: [N].
        restore: converts stored values to what `restored` returns; None to return them as an array.
        like: converts a table of pyarrow to what `as_table` returns; None to return it as it is.

    Raises:
        BadInput: the data have another shape.
    """

    def __init__(
        self,
        source: Source,
        accepted: Accepted,
        *,
        rows: Tensor | None = None,
        restore: Callable[[Tensor], Any] | None = None,
        like: Callable[[pa.Table], Any] | None = None,
    ) -> None:
        if source.shape != accepted.shape:
            fix = f"the model was trained on {list(accepted.shape)}"
            raise BadInput("DATA", f"examples of shape {list(source.shape)}", fix)
        self.source, self.accepted, self.shape = source, accepted, accepted.shape
        self.rows: Tensor = torch.arange(len(source)) if rows is None else rows
        self._restore, self._like = restore or Tensor.numpy, like
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

    def as_table(self, values: np.ndarray, names: Sequence[str]) -> Any:
        import pyarrow as pa

        columns = [pa.array(column, from_pandas=True) for column in values.T]  # NaN is a missing cell
        table = pa.table(columns, names=list(names))
        return table if self._like is None else self._like(table)


class TableExamples(SourceExamples):
    """The rows of a table that is read for a trained model. Arguments: see `SourceExamples`.

    Raises:
        BadInput: each row has a missing cell, and the model does not know what to do with those.
    """

    def __init__(
        self,
        source: Source,
        accepted: Accepted,
        *,
        restore: Callable[[Tensor], Any] | None = None,
        like: Callable[[pa.Table], Any] | None = None,
    ) -> None:
        usable = source.grouping().usable  # before the cells are scaled and gone
        source.scaling(torch.arange(len(source)))
        super().__init__(source, accepted, restore=restore, like=like)
        if usable is not None and not bool(usable.all()):
            self.incomplete = ~usable
            if bool(self.incomplete.all()):
                said = next((text for kind, text in self.remarks if kind == "missing"), "")
                raise BadInput("missing", "drop", f"no row is complete: {said}")

    def complete(self) -> SourceExamples:
        if self.incomplete is None:
            return self
        rows = self.rows[~self.incomplete]
        return SourceExamples(self.source, self.accepted, rows=rows, restore=self._restore)

    def take(self, start: int, stop: int) -> Tensor:
        if self.incomplete is None:
            return super().take(start, stop)
        stored = self.source.take(self.rows[start:stop])
        absent = self.incomplete[start:stop, None] & stored.isnan()
        stored = stored.masked_fill(absent, 0.0)  # any number does: these rows have no result
        self.accepted.check(stored, start, scaled=False)
        return self.accepted.scaling(stored)
