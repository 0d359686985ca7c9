"""Examples from whatever a person gives. The readers are imported when they are needed: opening is quick."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from isthmus.tasks.inputs.arrays import ArrayExamples
from isthmus.tasks.inputs.examples import Accepted, Examples


def examples_of(x: Any, accepted: Accepted) -> Examples:
    """The examples in an array, a tensor, a table, files or a folder; see `TrainedModel`.

    Args:
        x: see there.
        accepted: by the model.

    Raises:
        BadInput: the model does not accept them.
    """
    if isinstance(x, str | Path):
        from isthmus.tasks.inputs.files import file_examples

        return file_examples(str(x), accepted)
    if isinstance(x, list | tuple) and x and all(isinstance(each, str | Path) for each in x):
        from isthmus.tasks.inputs.files import image_file_examples

        return image_file_examples(x, accepted)
    if accepted.record is not None:
        from isthmus.tasks.inputs.tables import table_examples

        return table_examples(x, accepted)
    return ArrayExamples(x, accepted)
