"""The data of a run, as examples for its model."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from torch import Tensor

from isthmus.common.errors import BadInput
from isthmus.runs.folder.run_folder import RunFolder
from isthmus.runs.run_data import RunData, load_data
from isthmus.tasks.inputs.examples import Accepted
from isthmus.tasks.inputs.sources import SourceExamples
from isthmus.tasks.inputs.tables import decoded


def open_run_data(place: Path, *, overrides: Sequence[str] = ()) -> RunData:
    """The data that a run was trained on, and how they were split.

    Args:
        place: the run folder.
        overrides: such as ``data.path=...``, where the data are elsewhere now.

    Raises:
        BadInput: `place` is a packed model, which knows no data; or they cannot be read.
    """
    if place.is_file():
        fix = "is a packed model, which has no data of its own; give DATA, or the run folder"
        raise BadInput("RUN", place, fix)
    return load_data(RunFolder.open(place), overrides=overrides)


def run_examples(opened: RunData, accepted: Accepted, rows: Tensor) -> SourceExamples:
    """Rows of the data of a run.

    Args:
        opened: from `open_run_data`.
        accepted: by the model of the run.
        rows: their numbers. Shape: [N].
    """
    restore = None
    if accepted.record is not None:
        restore = partial(decoded, accepted.record.preparation)
    return SourceExamples(opened.data.source, accepted, rows=rows, restore=restore)


def test_examples(opened: RunData, accepted: Accepted) -> SourceExamples:
    """The test rows of a run; see `run_examples`.

    Raises:
        BadInput: there are none.
    """
    rows = opened.data.split.test
    if not len(rows):
        raise BadInput("DATA", "", "the run has no test rows; give DATA")
    return run_examples(opened, accepted, rows)
