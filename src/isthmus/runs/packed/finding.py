"""Finds the model that a person means: a file, a run folder, the name of a run, or "latest"."""

from __future__ import annotations

import contextlib
from pathlib import Path

from isthmus.common.errors import BadInput
from isthmus.runs.folder.lookup import MODEL, find_run
from isthmus.runs.packed.model_file import ModelFile, Outdated
from isthmus.training.checkpoint.archive import checksum


def find_model(typed: str | Path) -> tuple[Path, ModelFile]:
    """The model in a file or of a run.

    A run that is not finished, or whose model file is missing or of an older isthmus, is packed in memory,
    which takes seconds; it then has neither thresholds nor samplers.

    Returns:
        The file or the run folder, and the model.

    Raises:
        BadInput: there is none, or it cannot be read.
    """
    place = find_run(Path(typed).expanduser())
    if place.is_file():
        return place, ModelFile.read(place)
    own, best = place / MODEL, place / "checkpoints" / "best.ckpt"
    with contextlib.suppress(Outdated):
        if own.is_file():
            file = ModelFile.read(own)
            if not best.exists() or file.run.get("checksum") == checksum(best):
                return place, file
    if not place.is_dir():
        raise BadInput("RUN", place, "there is no such file or folder; give a run, or a packed model")
    from isthmus.runs.folder.run_folder import RunFolder
    from isthmus.runs.packed.packing import pack_folder

    return place, pack_folder(RunFolder.open(place))
