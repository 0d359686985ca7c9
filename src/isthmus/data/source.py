"""The contract of a data source: examples in a fixed order, taken by index."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from enum import Enum
from typing import Any

import torch
from torch import Tensor

from isthmus.core.scaling import Scaling
from isthmus.data.memory import take_rows

UNBOUNDED = (-float("inf"), float("inf"))


class Reading(Enum):
    """What `take` does, and so who calls it."""

    MEMORY = "indexes a tensor: whoever needs the batch"
    MAPPED = "copies from a mapped file, which leaves Python free: a thread that is ahead"
    DECODED = "computes: worker processes"


class Source(ABC):
    """Checked data. Constructors read and check everything, and raise `BadInput` for what cannot be used.

    Attributes:
        shape: of one example, as the model sees it: (C, H, W) for images, (F,) for tables.
        value_range: lowest and highest value that the model sees (after `scaling`), `UNBOUNDED` for
            standardised data.
        fingerprint: SHA-256 of the bytes of the data, in hexadecimal.
        reading: what `take` does.
        values: all that `take` gives, where one tensor in memory holds it. Shape: [N, ...].
        labels: a class for each row, for colouring and for metrics; never trained on. Shape: [N], int64.
        label_names: the name of each class, where there are names.
        test_rows: the rows of an official test set, or None when the split has to be drawn. Shape: [*].
    """

    shape: tuple[int, ...]
    value_range: tuple[float, float]
    fingerprint: str
    reading: Reading = Reading.MEMORY
    values: Tensor | None = None
    labels: Tensor | None = None
    label_names: list[str] | None = None
    test_rows: Tensor | None = None

    @abstractmethod
    def __len__(self) -> int:
        """N, the number of rows, official test rows included."""

    @abstractmethod
    def take(self, rows: Tensor) -> Tensor:
        """The stored values of `rows`: uint8 where they are bytes, else float32. Shapes: [B] -> [B, ...]."""

    @abstractmethod
    def scaling(self, train_rows: Tensor) -> Scaling:
        """The map from stored values to model values. Statistics, if any, come from `train_rows` alone."""

    def describe(self) -> dict[str, Any]:
        """What a run records of its data, in plain types; sources add what is theirs (column names)."""
        return {
            "rows": len(self),
            "shape": list(self.shape),
            "value_range": list(self.value_range),
            "fingerprint": self.fingerprint,
            "label_names": self.label_names,
        }


class TensorSource(Source):
    """A source that is one tensor in memory.

    Args:
        values: stored values, uint8 or float32. Shape: [N, ...].
        unit: what one stored unit is worth to the model: 1/255 for pixels stored as bytes.
        value_range: see `Source`; None to infer it from the values.
        labels: see `Source`.
        label_names: see `Source`.
        test_rows: see `Source`.
        fingerprint: see `Source`; None to compute it from the values and labels.
    """

    def __init__(
        self,
        values: Tensor,
        *,
        unit: float = 1.0,
        value_range: tuple[float, float] | None = None,
        labels: Tensor | None = None,
        label_names: list[str] | None = None,
        test_rows: Tensor | None = None,
        fingerprint: str | None = None,
    ) -> None:
        self.values: Tensor = values
        self.unit = unit
        self.shape = tuple(values.shape[1:])
        self.labels, self.label_names, self.test_rows = labels, label_names, test_rows
        self.value_range = value_range or (values.min().item() * unit, values.max().item() * unit)
        self.fingerprint = fingerprint or sha256_of(values, *([labels] if labels is not None else []))

    def __len__(self) -> int:
        return len(self.values)

    def take(self, rows: Tensor) -> Tensor:
        return take_rows(self.values, rows)

    def scaling(self, train_rows: Tensor) -> Scaling:
        return Scaling.unit(self.unit)


def sha256_of(*tensors: Tensor) -> str:
    """SHA-256 of the bytes of tensors, one after another, in hexadecimal."""
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(tensor.contiguous().view(torch.uint8).numpy().data)
    return digest.hexdigest()
