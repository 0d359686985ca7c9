"""The file of a trained model: model.isthmus in a run folder, or what `isthmus pack` writes.

A safetensors file with the weights, and in its metadata, as JSON, the config of the model, how new data are
read and prepared, and where it is from. It contains numbers and text only. Anyone may have written it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from isthmus.common.errors import BadInput
from isthmus.common.tensor_file import read_tensors, write_tensors
from isthmus.runs.config.allowlist import check_targets

FORMAT = 3  # 2: neither `normal` nor `neighbours` in the detector; 1: other residuals
GROUPS = ("config", "data", "run")  # of the metadata
DTYPES = {
    *(torch.float64, torch.float32, torch.float16, torch.bfloat16),
    *(torch.int64, torch.int32, torch.uint8, torch.bool),
}  # of tensors; PyTorch cannot compute with some others that the file format has, such as float8
LARGEST_SIDE = 1 << 24  # of the shape of an example


class Outdated(BadInput):
    """A file of an older isthmus."""


class ModelFile(NamedTuple):
    """The content of a file.

    Attributes:
        tensors: by name: ``autoencoder.*`` and ``scaling.*`` as in a checkpoint, and what `fitting` adds.
        config: the groups that define the model, and ``data`` without places.
        data: the data it was trained on, as `Source.describe` and the run's provenance say.
        run: ``checkpoint``, ``epoch``, ``step`` and ``checksum`` of the checkpoint.
    """

    tensors: Mapping[str, Tensor]
    config: Mapping[str, Any]
    data: Mapping[str, Any]
    run: Mapping[str, Any]

    def write(self, path: Path) -> None:
        """Write the file atomically."""
        about = {"format": FORMAT, "config": self.config, "data": self.data, "run": self.run}
        write_tensors(path, self.tensors, about)

    @classmethod
    def read(cls, path: Path) -> ModelFile:
        """Read a file.

        Raises:
            Outdated: it is of an older isthmus.
            BadInput: there is none, or it is damaged, or none of these, or of a newer isthmus; or its config
                names a class that is not allowed.
        """
        if not path.is_file():
            raise BadInput("MODEL", path, "there is no such file")
        try:
            tensors, about = read_tensors(path)
        except (OSError, ValueError) as error:
            raise BadInput("MODEL", path, f"{error}; is it a model of isthmus?") from error
        if other := [name for name, each in tensors.items() if each.dtype not in DTYPES]:
            raise BadInput("MODEL", path, f"{other[0]} has numbers of a kind that isthmus does not write")
        if isinstance(about.get("format"), int) and about["format"] > FORMAT:
            raise BadInput("MODEL", path, "is of a newer isthmus; upgrade: pip install --upgrade isthmus")
        if isinstance(about.get("format"), int) and 0 < about["format"] < FORMAT:
            raise Outdated("MODEL", path, "is of an older isthmus; pack its run again: isthmus pack RUN")
        groups = [about.get(name) for name in GROUPS]
        if about.get("format") != FORMAT or not all(isinstance(group, dict) for group in groups):
            raise BadInput("MODEL", path, "is no model of isthmus; isthmus pack writes one")
        file = cls(tensors, *groups)  # type: ignore[arg-type]
        check_targets(file.config)
        return file

    def named(self, prefix: str) -> dict[str, Tensor]:
        """The tensors whose name begins with `prefix`, without it."""
        return {
            name.removeprefix(prefix): each for name, each in self.tensors.items() if name.startswith(prefix)
        }

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one example."""
        shape = self.data.get("shape")
        sides = shape if isinstance(shape, list) and len(shape) in (1, 3) else [0]
        if not all(isinstance(side, int) and 0 < side <= LARGEST_SIDE for side in sides):
            raise BadInput("data.shape", shape, "is not as isthmus writes it; is the file damaged?")
        return tuple(sides)

    @property
    def value_range(self) -> tuple[float, float]:
        """Of the data, after scaling; see `Source.value_range`."""
        bounds = self.data.get("value_range")
        if isinstance(bounds, list) and len(bounds) == 2:
            low, high = (
                infinite if bound is None else bound
                for bound, infinite in zip(bounds, (-math.inf, math.inf), strict=True)
            )
            if isinstance(low, int | float) and isinstance(high, int | float) and low <= high:
                return float(low), float(high)
        raise BadInput("data.value_range", bounds, "is not as isthmus writes it; is the file damaged?")

    @property
    def label_names(self) -> list[str] | None:
        """Of the classes of the training data."""
        return self._names("label_names")

    @property
    def trained_classes(self) -> list[str] | None:
        """Those of the classes that training rows have; None if that is not known."""
        return self._names("trained_classes")

    def _names(self, key: str) -> list[str] | None:
        names = self.data.get(key)
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            return None
        return names
