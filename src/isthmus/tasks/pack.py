"""Writes a trained model to one file that stands alone."""

from __future__ import annotations

from pathlib import Path

import torch

from isthmus.runs.finding import find_model, trained_data
from isthmus.runs.packed.fitting import fitted, is_fitted
from isthmus.runs.packed.model_file import ModelFile
from isthmus.tasks.outputs.places import check_free

SUFFIX = ".isthmus"


def pack(run: Path, output: Path | None = None, *, overwrite: bool = False) -> tuple[Path, ModelFile]:
    """Write the model of a run to a file, which opens without the run and its data.

    A run that is not finished is packed from its checkpoint; what is fitted to its data then needs these
    where they were.

    Args:
        run: a run folder, the name of a run in outputs/, latest, or a packed model.
        output: the file; None for the run's name in the current folder.
        overwrite: whether an existing file may be replaced.

    Returns:
        The path of the file, and its content.

    Raises:
        BadInput: there is no such run, or a file is in the way; or the model has to be fitted to the data of
            the run, and these are gone or have changed.
    """
    found, file = find_model(run)
    path = output or Path(f"{found.absolute().stem}{SUFFIX}")
    check_free(path, overwrite=overwrite)
    if not is_fitted(file):
        from isthmus.runs.folder.run_folder import RunFolder

        file = fitted(file, trained_data(RunFolder.open(found)), torch.device("cpu"))
    file.write(path)
    return path, file
