"""How a graph turns the user's values into those of the model, and back: part of every exported graph.

A graph cannot refuse a row as isthmus does. It flags the row, and the outputs of that row are NaN.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from isthmus.tasks.inputs.examples import ROUNDING, Accepted


class Field(NamedTuple):
    """An input or an output of a graph.

    Attributes:
        name: in the graph.
        dtype: as NumPy names it; "text" for strings, which PyTorch holds as int64 (see `Text`).
        shape: of one row.
        meaning: for the user, one line.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    meaning: str


class Preprocessing(nn.Module, ABC):
    """Maps inputs of the graph to values of the model, and back.

    Attributes:
        inputs: of the graph.
        outputs: of a reconstruction, with a name that differs from that of the input.
    """

    inputs: list[Field]
    outputs: list[Field]

    def __init__(self, accepted: Accepted) -> None:
        super().__init__()
        self.scaling, self.pixels = accepted.scaling, accepted.pixel_unit is not None
        self.bounded = accepted.is_bounded

    @abstractmethod
    def features(self, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Stored values [N, ...], float32, and whether isthmus would accept each row [N]."""

    @abstractmethod
    def outputs_of(self, stored: Tensor) -> tuple[Tensor, ...]:
        """Stored values [N, ...] in the user's units, as `outputs`."""

    @abstractmethod
    def arrays(self, given: Any) -> dict[str, np.ndarray]:
        """Rows, as `Engine.as_given` returns them, by the names of `inputs`."""

    @abstractmethod
    def units(self) -> list[np.ndarray]:
        """The spread in training of the features of each of `outputs`; NaN for categories and true/false."""

    def forward(self, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Values of the model [N, ...], float32, and whether isthmus would accept each row [N]."""
        stored, valid = self.features(*inputs)
        x = stored if self.pixels else self.scaling(stored)
        valid = valid & x.isfinite().flatten(1).all(1)
        if self.bounded:
            valid = valid & ((x >= -ROUNDING) & (x <= 1 + ROUNDING)).flatten(1).all(1)
        return x, valid

    def invert(self, x: Tensor) -> tuple[Tensor, ...]:
        """Values of the model [N, ...] in the user's units, as `outputs`."""
        return self.outputs_of(x.float() if self.pixels else self.scaling.invert(x.float()))

    def columns(self) -> Mapping[str, Any]:
        """What the columns of the inputs are, in plain types; empty for data without columns."""
        return {}


class ArrayPreprocessing(Preprocessing):
    """Images and arrays: one input ``x``. Pixels are in [0, 1]; all others are in the user's units."""

    def __init__(self, accepted: Accepted) -> None:
        super().__init__(accepted)
        unit = accepted.pixel_unit
        meaning = "in the units of the training data" if unit is None else "pixels in [0, 1]"
        if unit is not None:
            meaning += f": stored values divided by {unit:g}"
        self.inputs = [Field("x", "float32", accepted.shape, meaning)]
        self.outputs = [Field("reconstruction", "float32", accepted.shape, "like x")]

    def features(self, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        (x,) = inputs
        return x, torch.ones_like(x.flatten(1)[:, 0], dtype=torch.bool)

    def outputs_of(self, stored: Tensor) -> tuple[Tensor, ...]:
        return (stored,)

    def arrays(self, given: Any) -> dict[str, np.ndarray]:
        return {"x": given}

    def units(self) -> list[np.ndarray]:
        return [np.array(1.0) if self.pixels else 1 / self.scaling.scale.abs().numpy()]
