"""Colours of the points of a map: classes, numbers, or the errors of rows without labels.

Ten colours that people with a colour vision deficiency tell apart (Petroff 2021, "Accessible color sequences
for data visualization", arXiv:2107.02270), with two markers: twenty classes. Numbers have those of viridis.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from isthmus.common.listing import class_name

PALETTE = (
    *("#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6"),
    *("#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd"),
)
OTHER = "#bbbbbb"
MOST_CLASSES = 2 * len(PALETTE)
SHARE = 0.99  # of the numbers that the colours span: a few outliers would leave one colour for all others


class Colouring(NamedTuple):
    """What the colours of points mean.

    Attributes:
        title: of the legend.
        values: the place of each row in `classes`, or its number. Shape: [N], float64.
        classes: names by falling number of rows, at most `MOST_CLASSES` and one for all others; None for
            numbers.
        others: whether the last of the classes stands for several.
        limits: the numbers of the first and the last colour.
    """

    title: str
    values: np.ndarray
    classes: list[str] | None
    others: bool
    limits: tuple[float, float]

    def colour(self, place: int) -> str:
        """Of a class."""
        return OTHER if self.is_other(place) else PALETTE[place % len(PALETTE)]

    def marker(self, place: int) -> str:
        """Of a class, by Plotly's name."""
        if self.is_other(place):
            return "circle-open"
        return "circle" if place < len(PALETTE) else "triangle-up"

    def levels(self) -> np.ndarray:
        """How rare each class is: 0 from half the size of the largest, 1 from a quarter, and so on; that of
        several is -1. Maps draw higher levels on top. Shape: [classes], int64.
        """
        assert self.classes is not None
        sizes = np.bincount(self.values.astype(int), minlength=len(self.classes)).clip(min=1)
        others = np.array([self.is_other(place) for place in range(len(sizes))])
        halvings = np.ceil(np.log2(sizes[~others].max() / sizes)).astype(int)
        return np.where(others, -1, np.maximum(halvings - 1, 0))

    def is_other(self, place: int) -> bool:
        """Whether a class stands for several."""
        return self.others and place == MOST_CLASSES


def classes_of(labels: torch.Tensor | None, names: Sequence[str] | None) -> tuple[np.ndarray | None, str]:
    """The class of each row [N], or None and why there is none: no labels, or many numbers.

    Args:
        labels: of the rows; None for none. Shape: [N], int64.
        names: of the classes, or None.
    """
    if labels is None:
        return None, "the rows have no labels"
    if _numbers(labels, names) is not None:
        return None, "the labels are numbers"
    return labels.numpy(), ""


def colouring(
    labels: torch.Tensor | None, names: Sequence[str] | None, mse: np.ndarray, title: str
) -> Colouring:
    """The colours of rows: of their classes, of labels that are numbers, or else of their errors.

    Args:
        labels: see `classes_of`.
        names: see there.
        mse: errors of the rows. Shape: [N].
        title: what the labels are called.
    """
    if labels is None:
        return _scale("mse", mse)
    if (numbers := _numbers(labels, names)) is not None:
        return _scale(title, numbers)
    present, place, sizes = np.unique(labels.numpy(), return_inverse=True, return_counts=True)
    texts = [class_name(number, names) for number in present.tolist()]
    if len(present) <= MOST_CLASSES:
        return Colouring(title, place.astype(np.float64), texts, False, (0.0, 0.0))
    largest = np.argsort(-sizes, kind="stable")[:MOST_CLASSES]
    rank = np.full(len(present), MOST_CLASSES)
    rank[largest] = np.arange(MOST_CLASSES)
    shown = [texts[each] for each in largest]
    shown.append(f"{len(present) - MOST_CLASSES:,} other classes")
    return Colouring(title, rank[place].astype(np.float64), shown, True, (0.0, 0.0))


def _scale(title: str, values: np.ndarray) -> Colouring:
    numbers = values.astype(np.float64)
    finite = numbers[np.isfinite(numbers)]
    low, high = (np.quantile(finite, (1 - SHARE, SHARE))) if len(finite) else (0.0, 1.0)
    return Colouring(
        title, numbers, None, False, (float(low), float(high) if high > low else float(low) + 1.0)
    )


def _numbers(labels: torch.Tensor, names: Sequence[str] | None) -> np.ndarray | None:
    """The labels as numbers, if they are more numbers than there are colours for classes. Shape: [N]."""
    present = labels.unique()
    if len(present) <= MOST_CLASSES:
        return None
    if names is None:
        return labels.double().numpy()
    try:
        values = np.array([float(name) for name in names])
    except ValueError:
        return None
    return values[labels.numpy()] if all(map(math.isfinite, values)) else None
