"""Finds the model that a person means: a file, a run folder, the name of a run, or "latest"."""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from isthmus.common.errors import BadInput
from isthmus.common.failures import WarnOnFailure
from isthmus.common.messages import relative
from isthmus.runs.folder.lookup import MODEL, find_run
from isthmus.runs.packed.model_file import ModelFile, Outdated
from isthmus.training.checkpoint.archive import checksum

if TYPE_CHECKING:
    from isthmus.data.module import DataModule
    from isthmus.runs.folder.run_folder import RunFolder

logger = logging.getLogger(__name__)


def find_model(typed: str | Path) -> tuple[Path, ModelFile]:
    """The model in a file or of a run.

    A run that is not finished is packed in memory, which takes seconds; it then has neither thresholds nor
    samplers. If a finished run's model file is missing, of an older isthmus or of another checkpoint, it is
    made again, which needs the data of the run.

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

    folder = RunFolder.open(place)
    file = pack_folder(folder)
    return place, _fitted(folder, file) if folder.is_done else file


def trained_data(folder: RunFolder) -> DataModule:
    """The data of a run.

    Raises:
        BadInput: they are gone, or have changed since the run was trained.
    """
    from isthmus.runs.run_data import FINGERPRINTS, load_data

    opened = load_data(folder)
    now = opened.data.describe()
    if any(opened.trained_on.get(key, now[key]) != now[key] for key in FINGERPRINTS):
        raise BadInput("data", folder.path, "have changed since the run was trained")
    return opened.data


def _fitted(folder: RunFolder, file: ModelFile) -> ModelFile:
    """The model of a finished run, fitted to its data, which replaces its model file.

    Where the data are gone or have changed, the model as it is, with the reason in ``run.unfitted``.
    """
    from isthmus.runs.packed.fitting import fitted

    try:
        data = trained_data(folder)
    except BadInput as error:
        return file._replace(run={**file.run, "unfitted": str(error)})
    logger.warning("%s: fitting the detector to the run's data", relative(folder.model))
    with WarnOnFailure("thresholds and samplers could not be fitted"):
        file = fitted(file, data, torch.device("cpu"))
    with contextlib.suppress(OSError):  # a run that may only be read: it is fitted again next time
        file.write(folder.model)
    return file
