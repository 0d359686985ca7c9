"""Chooses and reads a checkpoint of a run."""

from __future__ import annotations

from isthmus.common.errors import BadInput
from isthmus.runs.folder.run_folder import RunFolder
from isthmus.training.checkpoint.content import Checkpoint


def read_checkpoint(folder: RunFolder, checkpoint: str | None) -> tuple[Checkpoint, str | None]:
    """The checkpoint of a run to use, and why best is damaged if last replaces it; see
    `runs.loading.load`."""
    path = folder.checkpoint(checkpoint or "best")
    other = path.with_stem("best" if checkpoint == "last" else "last")
    try:
        return Checkpoint.read(path), None
    except (OSError, ValueError) as error:
        if not other.is_file():
            raise BadInput("RUN", folder.path, str(error)) from error
        if checkpoint is not None:
            raise BadInput("RUN", folder.path, f"{error}; try --checkpoint {other.stem}") from error
        damage = str(error)
    try:
        return Checkpoint.read(other), damage
    except (OSError, ValueError) as error:
        raise BadInput("RUN", folder.path, f"{damage}; {error}") from error
