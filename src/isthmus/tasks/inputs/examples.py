"""Interface of examples that a person gives to a trained model, and what the model says it accepts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from isthmus.common.errors import BadInput
from isthmus.core.scaling import Scaling
from isthmus.data.tables.record import Record
from isthmus.runs.packed.opening import OpenedModel

ROUNDING = 1e-3  # by which pixels may exceed their range, of its width
NOISY = 1.0  # by which the mean of noisy pixels may do so: it is farther out for pixels in another unit


def is_frame(x: Any) -> bool:
    """Whether `x` is a table of pandas."""
    return hasattr(x, "iloc") and hasattr(x, "columns")


class Accepted(NamedTuple):
    """What a model accepts.

    Attributes:
        shape: of one example: (C, H, W) or (F,).
        value_range: lowest and highest value of the training data after scaling.
        scaling: maps stored values to those of the model; on the CPU.
        record: how the columns of a table are prepared; None for other data.
        data: the config of the data, without places.
        noisy: whether examples are to be denoised: values may lie outside the range, as noise is not clipped
            in training, and images may have any size.
    """

    shape: tuple[int, ...]
    value_range: tuple[float, float]
    scaling: Scaling
    record: Record | None
    data: Mapping[str, Any]
    noisy: bool = False

    @classmethod
    def by(cls, model: OpenedModel) -> Accepted:
        """What a trained model accepts."""
        scaling, file = deepcopy(model.scaling).float().cpu(), model.file
        return cls(file.shape, file.value_range, scaling, model.record, file.config["data"])

    @property
    def is_image(self) -> bool:
        """Whether examples are images."""
        return len(self.shape) == 3

    @property
    def pixel_unit(self) -> float | None:
        """The largest stored value of data that are stored as whole numbers from 0, such as 255 for pixels,
        and mapped to [0, 1]; None for other data.
        """
        if self.scaling.shift is not None or self.scaling.scale.ndim:
            return None
        unit = 1 / self.scaling.scale.item()
        return unit if unit != 1 else None

    @property
    def is_bounded(self) -> bool:
        """Whether values of the model must be in [0, 1], but for `ROUNDING`."""
        low, high = self.value_range
        return low >= 0 and high <= 1 and self.scaling.shift is None

    def check(self, x: Tensor, first: int, *, scaled: bool) -> None:
        """Refuse values that are missing or out of range.

        Args:
            x: stored values, or those of the model. Shape: [B, ...].
            first: the number of the first row, for the message.
            scaled: whether `x` are values of the model.
        """
        if x.dtype is torch.uint8 and (scaled or self.pixel_unit in (None, 255)):
            return
        if not bool(x.isfinite().all()):
            row = first + int((~x.isfinite()).flatten(1).any(1).nonzero()[0])
            raise BadInput("x", f"row {row}", "has a value that is missing (NaN) or infinite")
        if not self.is_bounded:
            return
        top = 1.0 if scaled or self.pixel_unit is None else self.pixel_unit
        if self.noisy:
            mean = x.double().mean().item()
            if not -NOISY * top <= mean <= (1 + NOISY) * top:
                raise BadInput("x", f"values with the mean {mean:g}", self._range_fix(scaled))
            return
        lowest, highest = x.min().item(), x.max().item()
        if lowest < -ROUNDING * top or highest > (1 + ROUNDING) * top:
            raise BadInput("x", f"values from {lowest:g} to {highest:g}", self._range_fix(scaled))

    def _range_fix(self, scaled: bool) -> str:
        if self.pixel_unit is None:
            return "the model was trained on values in [0, 1]; scale these alike"
        unit = f"{self.pixel_unit:.0f}"
        if not scaled:
            return f"whole numbers must be from 0 to {unit}, as in training"
        return (
            f"decimal numbers must be in [0, 1], and whole numbers from 0 to {unit}: divide by {unit}, or "
            'convert with x.astype("uint8")'
        )


class Examples(ABC):
    """Rows in a fixed order.

    Attributes:
        shape: of one example.
        names: what the user calls each row; None for row numbers.
        rows: the number of each row in its file; None if they are counted from 0. Shape: [N], int64.
        incomplete: which rows have a missing cell that the model does not know what to do with: these have no
            result, which is NaN; None if there are none. Shape: [N], bool.
        labels: the class of each row; None if they have none. Shape: [N], int64.
        label_names: of the classes.
        remarks: how they were read: (what, sentence).
    """

    shape: tuple[int, ...]
    names: Sequence[str] | None = None
    rows: Tensor | None = None
    incomplete: Tensor | None = None
    labels: Tensor | None = None
    label_names: list[str] | None = None
    remarks: Sequence[tuple[str, str]] = ()

    def complete(self) -> Examples:
        """The rows that have a result."""
        return self

    @abstractmethod
    def __len__(self) -> int:
        """N, the number of rows."""

    def row_numbers(self, part: slice) -> np.ndarray:
        """The numbers of some rows in their file. Shape: [B], int64."""
        return (torch.arange(part.start, part.stop) if self.rows is None else self.rows[part]).numpy()

    @abstractmethod
    def take(self, start: int, stop: int) -> Tensor:
        """Rows as values of the model, on the CPU. Shape: [B, ...], float32."""

    def as_table(self, values: np.ndarray, names: Sequence[str]) -> Any:
        """Numbers of each row, one for each column, as a table of the kind that these examples were given in.

        Args:
            values: NaN for none. Shape: [N, C].
            names: of the columns.
        """
        return values

    @abstractmethod
    def restored(self, x: Tensor) -> Any:
        """Values of the model in the kind, the layout and the unit that these examples were given in.

        Args:
            x: one for each row, in the same order. Shape: [N, ...].
        """
