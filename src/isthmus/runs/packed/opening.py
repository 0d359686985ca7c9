"""Builds the model in a model file, without training data, Lightning, Hydra or OmegaConf."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from isthmus.common.errors import BadInput
from isthmus.core.autoencoder import Autoencoder
from isthmus.core.scaling import Scaling
from isthmus.data.tables.record import Record
from isthmus.runs.config.model import GROUPS, make_autoencoder
from isthmus.runs.config.model_size import check_fits
from isthmus.runs.packed.model_file import ModelFile
from isthmus.training.memory_format import set_memory_format

REALS = (torch.float32, torch.float64)


class OpenedModel(NamedTuple):
    """A trained model.

    Attributes:
        autoencoder: with the trained weights, in evaluation mode.
        scaling: maps stored values to those of the model.
        record: how the columns of a table are read and prepared; None for other data.
        file: what it was made from.
    """

    autoencoder: Autoencoder
    scaling: Scaling
    record: Record | None
    file: ModelFile

    @property
    def dtype(self) -> torch.dtype:
        """float64 if the model was trained in it, or else float32."""
        return _dtype(self.file)


def open_model(file: ModelFile, device: torch.device) -> OpenedModel:
    """Build the model.

    Args:
        file: from `ModelFile.read` or `packing`.
        device: where it will compute.

    Raises:
        BadInput: the config and the weights do not match, or are not as isthmus writes them.
    """
    absent = [group for group in (*GROUPS, "data") if not isinstance(file.config.get(group, {}), dict)]
    if absent or not {*GROUPS, "data"} <= set(file.config):
        raise BadInput("config", absent or "", "is not as isthmus writes it; is the file damaged?")
    record = Record.of(file.data.get("prepared"))
    spans = record.preparation.spans() if record else ()

    def make() -> Autoencoder:
        return make_autoencoder(file.config, file.shape, file.value_range, spans)

    check_fits(make)
    with torch.random.fork_rng(devices=[]):  # the initial weights must not change the user's random numbers
        autoencoder = make()
    scaling = _scaling(file)
    autoencoder.to(_dtype(file))
    _load(autoencoder, file.named("autoencoder."))
    autoencoder.to(device).eval().requires_grad_(False)
    set_memory_format(autoencoder, channels_last="auto", accelerator=device.type, precision="32-true")
    return OpenedModel(autoencoder, scaling.to(device, _dtype(file)), record, file)


def _scaling(file: ModelFile) -> Scaling:
    tensors = file.named("scaling.")
    scale, shift = tensors.get("scale"), tensors.get("shift")
    for name, each in (("scale", scale), ("shift", shift)):
        if each is None and name == "shift":
            continue
        if each is None or not each.is_floating_point() or tuple(each.shape) not in ((), file.shape):
            raise BadInput("scaling", name, f"does not fit examples of shape {list(file.shape)}")
        if not bool(each.isfinite().all()):
            raise BadInput("scaling", name, "is not finite")
    assert scale is not None
    if not bool((scale != 0).all()):
        raise BadInput("scaling", "scale", "must not be 0")
    return Scaling(scale, shift)


def _dtype(file: ModelFile) -> torch.dtype:
    """float64 if the model was trained in it, or else float32."""
    doubles = any(each.dtype is torch.float64 for each in file.named("autoencoder.").values())
    return torch.float64 if doubles else torch.float32


def _load(module: nn.Module, weights: Mapping[str, Tensor]) -> None:
    due: dict[str, Any] = module.state_dict()
    if odd := sorted(set(due) ^ set(weights)):
        raise BadInput("weights", odd[0], "are not those of the model that the config builds")
    for name, weight in weights.items():
        if weight.shape != due[name].shape:
            found, wanted = list(weight.shape), list(due[name].shape)
            raise BadInput("weights", name, f"have the shape {found}, and the config builds {wanted}")
        if not bool(weight.isfinite().all()):
            raise BadInput("weights", name, "are not finite")
    module.load_state_dict(dict(weights))
