"""Opens trained models."""

from __future__ import annotations

from pathlib import Path

import torch

from isthmus.common.errors import BadInput
from isthmus.runs.finding import find_model
from isthmus.runs.packed.opening import open_model
from isthmus.tasks.trained_model import TrainedModel


def load_model(path: str | Path, *, device: str | torch.device | None = None) -> TrainedModel:
    """Open a trained model.

    Args:
        path: a run folder, the name of a run in outputs/, latest, or a file that `isthmus pack` wrote.
        device: where to compute: cpu, cuda, cuda:1, mps; None for a GPU if there is one.

    Raises:
        BadInput: there is no such model, it is damaged, or there is no such device.
    """
    usual = "cuda" if torch.cuda.is_available() else "cpu"
    place, (found, file) = device_named(usual if device is None else device), find_model(path)
    return TrainedModel(open_model(file, place), place, found)


def device_named(name: str | torch.device) -> torch.device:
    """A device that there is, such as cpu, cuda or cuda:1; raises `BadInput` for others."""
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, TypeError) as error:
        raise BadInput("device", name, "there is no such device here; give cpu, cuda or mps") from error
    return device
