"""Interface of a data source: examples in a fixed order, read by index."""

from __future__ import annotations

import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from enum import Enum
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from isthmus.core.scaling import Scaling
from isthmus.core.types import FeatureSpan
from isthmus.data.memory import take_rows

# the parts of the split by what users call them; see `Grouping`
PARTS = {"train": 0, "training": 0, "val": 1, "valid": 1, "validation": 1, "dev": 1, "test": 2, "testing": 2}
LARGE = 20.0  # size of values above which a run suggests to scale them
UNBOUNDED = (-float("inf"), float("inf"))
CHUNK = 16 << 20  # bytes of float64 values of which statistics are computed at a time


class Reading(Enum):
    """What `take` does, which decides where it is called."""

    MEMORY = "indexes a tensor: called by the training loop"
    MAPPED = "copies from a memory-mapped file and releases the GIL: called in a prefetch thread"
    DECODED = "decodes files: called in worker processes"


class Grouping(NamedTuple):
    """What the data say about which rows belong into which part.

    Attributes:
        usable: whether a row may be in any part; None for all rows. Shape: [N], bool.
        parts: 1 for validation, 2 for test and 0 for the other rows, from which a part that has no row yet is
            drawn; None to draw all. Shape: [N].
        groups: rows with the same number are in the same part; None for no groups. Shape: [N], int64.
        times: the latest rows are the test set, and those before them the validation set; rows of the same
            time are in the same part; None for a random split. Shape: [N].
        strata: the parts have the same share of each number, as far as possible; None for no such rule.
            Shape: [N], int64.
    """

    usable: Tensor | None = None
    parts: Tensor | None = None
    groups: Tensor | None = None
    times: Tensor | None = None
    strata: Tensor | None = None


class Source(ABC):
    """Validated data. Constructors read and check everything, and raise `BadInput` for invalid data.

    Attributes:
        shape: of one example, as in the model: (C, H, W) for images, (F,) for tables.
        value_range: lowest and highest value after `scaling`; `UNBOUNDED` for standardised data.
        fingerprint: SHA-256 of the bytes of the data, in hexadecimal.
        reading: what `take` does.
        values: all stored values, if they are one tensor in memory, else None. Shape: [N, ...].
        labels: the class of each row, for colours and metrics, not for training; or None. Shape: [N], int64.
        label_names: the name of each class, or None.
        test_rows: the rows of an official test set, or None if the test set is drawn. Shape: [*].
        spans: the features that are categories or true/false.
        ids: what the user calls each row: a file name, or the cell of a column; or None. Length: N.
    """

    shape: tuple[int, ...]
    value_range: tuple[float, float]
    fingerprint: str
    reading: Reading = Reading.MEMORY
    values: Tensor | None = None
    labels: Tensor | None = None
    label_names: list[str] | None = None
    test_rows: Tensor | None = None
    ids: Sequence[str] | None = None
    spans: Sequence[FeatureSpan] = ()

    @abstractmethod
    def __len__(self) -> int:
        """N, the number of rows, official test rows included."""

    @abstractmethod
    def take(self, rows: Tensor) -> Tensor:
        """The stored values of `rows`: uint8 where they are bytes, else float32. Shapes: [B] -> [B, ...]."""

    @abstractmethod
    def scaling(self, train_rows: Tensor) -> Scaling:
        """The map from stored to model values; its statistics, if any, are those of `train_rows` only."""

    def grouping(self) -> Grouping:
        """Which rows belong into which part."""
        if self.test_rows is None:
            return Grouping()
        parts = torch.zeros(len(self), dtype=torch.int8)
        parts[self.test_rows] = 2
        return Grouping(parts=parts)

    def column(self, name: str) -> np.ndarray:
        """What a condition such as `data.train_where` may refer to: `label`. Shape: [N].

        Raises:
            KeyError: there is no such column; the message lists those that there are.
        """
        if name != "label" or self.labels is None:
            raise KeyError("label" if self.labels is not None else "nothing, as the data have no labels")
        numbers = self.labels.numpy()
        return numbers if self.label_names is None else np.array(self.label_names, dtype=object)[numbers]

    def feature_places(self) -> list[tuple[str, slice]]:
        """Of data with F features: the name of each column, and which features are made of it."""
        return [(f"feature {number}", slice(number, number + 1)) for number in range(self.shape[0])]

    def remarks(self, train_rows: Tensor) -> list[tuple[str, str]]:
        """What a person should know of the data before training: (what, sentence), such as ("left out", ...).

        Called after `scaling`; reads at most a sample of `train_rows`.
        """
        return []

    def _standardize(self, rows: Tensor) -> Scaling:
        """Mean 0 and variance 1 for every feature over `rows`, which are read in chunks."""
        from sklearn.preprocessing import StandardScaler

        scaler = StandardScaler()
        step = max(1, CHUNK // (math.prod(self.shape) * torch.float64.itemsize))
        for part in rows.split(step):
            scaler.partial_fit(self.take(part).flatten(1).double().numpy())
        # 1 / std overflows below `tiny`; scikit-learn gives scale 1 to constant features
        std = np.where(scaler.scale_ < np.finfo(np.float32).tiny, 1.0, scaler.scale_)
        scale, mean = torch.from_numpy(1 / std), torch.from_numpy(scaler.mean_)
        return Scaling(scale.reshape(self.shape), mean.reshape(self.shape))

    def describe(self) -> dict[str, Any]:
        """The description that a run records, in plain types; subclasses add to it (column names)."""
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
        unit: factor from stored to model values: 1/255 for pixels stored as bytes.
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


def unscaled_note(value_range: tuple[float, float]) -> list[tuple[str, str]]:
    """A remark about values so far from 0 that training will hardly work; none for others."""
    low, high = value_range
    if not math.isfinite(high - low) or max(abs(low), abs(high)) <= LARGE:
        return []
    return [
        (
            "note",
            f"values from {low:,.6g} to {high:,.6g} are not scaled; try data.scaling=minmax or standardize",
        )
    ]


def sha256_of(*tensors: Tensor) -> str:
    """SHA-256 of the concatenated bytes of tensors, in hexadecimal."""
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(tensor.contiguous().view(torch.uint8).numpy().data)
    return digest.hexdigest()
