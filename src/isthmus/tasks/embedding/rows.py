"""The rows that are embedded: those of any data, or those of a run's own data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from isthmus.common.errors import BadInput
from isthmus.data.loading.splits import Split
from isthmus.runs.run_data import is_same_data
from isthmus.tasks.inputs.examples import Examples
from isthmus.tasks.inputs.run_data import open_run_data, run_examples
from isthmus.tasks.trained_model import TrainedModel

PARTS = (*Split._fields, "none")  # none: such as what data.train_where leaves out


class Rows(NamedTuple):
    """Examples and the parts that they are in.

    Attributes:
        examples: N of them.
        parts: the part of the run's data that each is in, as an index of `PARTS`; None for other data.
            Shape: [N], int8.
    """

    examples: Examples
    parts: np.ndarray | None


def rows_of(model: TrainedModel, data: str, options: Mapping[str, Any] | None = None) -> Rows:
    """The rows of a file or a folder; see `TrainedModel.open_file`."""
    examples = model.open_file(data, options=options)
    return Rows(examples, None)


def own_rows(model: TrainedModel, run: Path, overrides: Sequence[str] = ()) -> Rows:
    """The rows of the run's own data, in their order.

    Args:
        model: of the run.
        run: its folder.
        overrides: such as ``data.path=...``, where the data are elsewhere now.

    Raises:
        BadInput: it is no run, or its data are gone or have changed.
    """
    opened = open_run_data(run, overrides=overrides)
    if not is_same_data(opened.trained_on, opened.data):
        raise BadInput("RUN", run, "its data or their split have changed since training; give DATA")
    part = np.full(len(opened.data.source), PARTS.index("none"), np.int8)
    for number, rows in enumerate(opened.data.split):
        part[rows.numpy()] = number
    return Rows(run_examples(opened, model.accepted, torch.arange(len(part))), part)
