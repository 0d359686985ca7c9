"""Where the results of a task go."""

from __future__ import annotations

import os
from pathlib import Path

from isthmus.common.errors import BadInput
from isthmus.runs.folder.lookup import find_run


def check_free(path: Path, *, overwrite: bool) -> None:
    """Raise `BadInput` if a file cannot be written: its folder is missing, or a file is in the way."""
    if path.is_dir():
        raise BadInput("OUTPUT", path, "is a folder; give the name of a file")
    if not path.parent.is_dir():
        raise BadInput("OUTPUT", path, f"there is no folder {path.parent}; make it first")
    if path.exists() and not overwrite:
        fix = "exists, and nothing is overwritten; give another name, or --overwrite"
        raise BadInput("OUTPUT", path, fix)


def results_folder(typed: Path | None, run: Path, task: str, name: str) -> Path:
    """The folder for the results of a task, which is made when the first file is written.

    Args:
        typed: the folder that the user asks for, which must be new or empty; None for ``TASK/NAME`` in the
            run folder, or ``NAME_TASK`` in the current folder for a packed model. What an earlier call of the
            same task left there is replaced.
        run: as typed.
        task: such as "detect".
        name: of the data.

    Raises:
        BadInput: there is something else at this place.
    """
    if typed is None:
        place = find_run(run)
        folder = place / task / name if place.is_dir() else Path(f"{name}_{task}")
    else:
        folder = typed
    if folder.exists() and not folder.is_dir():
        raise BadInput("--output", folder, "is a file; give a folder")
    if typed is not None and folder.is_dir() and any(folder.iterdir()):
        raise BadInput("--output", folder, "is not empty, and nothing is overwritten; give another folder")
    parent = next(parent for parent in folder.absolute().parents if parent.exists())
    if not parent.is_dir():
        raise BadInput("--output", folder, f"{parent} is a file; give another folder")
    return folder


def made(folder: Path) -> Path:
    """The folder, made if it is missing.

    Raises:
        BadInput: it cannot be made, or nothing can be written into it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(
            "--output", folder, f"cannot be made ({error.strerror}); give another folder"
        ) from error
    if not os.access(folder, os.W_OK):
        raise BadInput("--output", folder, "may only be read; give another folder")
    return folder
