"""The rows that are embedded: those of any data, or those that a run was trained, validated and tested on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from isthmus.common.errors import BadInput
from isthmus.data.module import DataModule
from isthmus.runs.folder.lookup import find_run
from isthmus.tasks.inputs.examples import Examples
from isthmus.tasks.trained_model import TrainedModel

PARTS = ("train", "val", "test")


class Rows(NamedTuple):
    """Examples and where they are from.

    Attributes:
        examples: N of them.
        numbers: the row of each in its data, from 0. Shape: [N], int64.
        parts: the part of the run's data that each is in, as an index of `PARTS`; None for other data.
            Shape: [N], int8.
    """

    examples: Examples
    numbers: np.ndarray
    parts: np.ndarray | None


class OwnExamples(Examples):
    """Rows of the data of a run, in the order of the data.

    Args:
        data: of the run.
        rows: their numbers. Shape: [N].
    """

    def __init__(self, data: DataModule, rows: Tensor) -> None:
        self._data, self._rows, source = data, rows, data.source
        self.labels = None if source.labels is None else source.labels[rows]
        self.label_names = source.label_names
        self.names = None if source.ids is None else [source.ids[row] for row in rows.tolist()]

    def __len__(self) -> int:
        return len(self._rows)

    def take(self, start: int, stop: int) -> Tensor:
        return self._data.scaling(self._data.source.take(self._rows[start:stop]))

    def restored(self, x: Tensor) -> Any:
        return self._data.scaling.invert(x).numpy()


def rows_of(model: TrainedModel, data: str, options: Mapping[str, Any] | None = None) -> Rows:
    """The rows of a file or a folder; see `TrainedModel.open_file`."""
    examples = model.open_file(data, options=options)
    return Rows(examples, np.arange(len(examples)), None)


def own_rows(run: Path) -> Rows:
    """The rows of the run's own data that are in one of its parts.

    Args:
        run: a run folder, the name of a run in outputs/, or latest.

    Raises:
        BadInput: it is no run, or its data are gone or have changed.
    """
    from isthmus.runs.folder.run_folder import RunFolder
    from isthmus.runs.loading import own_data

    place = find_run(run)
    if place.is_file():
        raise BadInput("DATA", "", f"{place} is a packed model, which holds no data; give DATA")
    data = own_data(RunFolder.open(place))
    part = np.full(len(data.source), -1, np.int8)
    for number, rows in enumerate(data.split):
        part[rows.numpy()] = number
    numbers = np.flatnonzero(part >= 0)
    return Rows(OwnExamples(data, torch.from_numpy(numbers)), numbers, part[numbers])
