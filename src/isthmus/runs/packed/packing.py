"""Makes the model file of a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from isthmus.common.errors import BadInput
from isthmus.runs.config.data import plain
from isthmus.runs.config.keys import check_trained
from isthmus.runs.config.model import GROUPS
from isthmus.runs.folder.checkpoints import read_checkpoint
from isthmus.runs.folder.run_folder import RunFolder
from isthmus.runs.packed.model_file import ModelFile
from isthmus.training.checkpoint.archive import checksum
from isthmus.training.checkpoint.content import Checkpoint

PLACES = ("path", "val_path", "test_path", "root", "labels")  # keys of data that say where they are


def pack(config: Mapping[str, Any], data: Mapping[str, Any], checkpoint: Checkpoint) -> ModelFile:
    """The model of a run.

    Args:
        config: of the run, in plain types.
        data: their description in the run's provenance.
        checkpoint: with the weights.
    """
    run = {
        "checkpoint": checkpoint.path.stem,
        "epoch": checkpoint.epoch,
        "step": checkpoint.step,
        "checksum": checksum(checkpoint.path),
    }
    return model_file(config, data, checkpoint.weights, run)


def model_file(
    config: Mapping[str, Any], data: Mapping[str, Any], weights: Mapping[str, Tensor], run: Mapping[str, Any]
) -> ModelFile:
    """The model that a config and weights make; see `ModelFile` for the arguments."""
    own = {group: config[group] for group in GROUPS}
    own["data"] = {key: value for key, value in config["data"].items() if key not in PLACES}
    return ModelFile(dict(weights), own, data, run)


def pack_folder(folder: RunFolder) -> ModelFile:
    """The model of a run's best checkpoint, or of its last one if there is no best.

    Raises:
        BadInput: the run has no checkpoint that can be read, or is too old to say what its data are like.
    """
    cfg = folder.read_config()
    data = folder.read_provenance().get("data")
    if not isinstance(data, dict) or "shape" not in data:
        fix = "does not say what its data are like; train it again with this version: isthmus reproduce"
        raise BadInput("RUN", folder.path, fix)
    checkpoint, _ = read_checkpoint(folder, None)
    check_trained(checkpoint.config, cfg)
    return pack(plain(cfg), data, checkpoint)
