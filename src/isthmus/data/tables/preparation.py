"""Turns the cells of a table into features, and back, with numbers fitted on the training rows alone.

Fitted by scikit-learn's transformers, column by column: SimpleImputer, StandardScaler, MinMaxScaler,
RobustScaler and QuantileTransformer (https://scikit-learn.org/stable/modules/preprocessing.html). Kept as
plain numbers, so that a run can record them as JSON and new data are transformed alike.

A cell is stored as a float32: a number or a date as its distance from `origin`, a truth value as 0 or 1, a
text as the position of its category, and a missing cell as NaN.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from enum import StrEnum
from typing import Any, NamedTuple

import numpy as np

from isthmus.core.types import FeatureSpan

QUANTILES = 256  # most quantiles of a column that are recorded
LARGEST = 1e38  # beyond it float32 is infinite
DEVIATION = 1.4826  # standard deviations of a normal distribution in one median absolute deviation


class Kind(StrEnum):
    """What the cells of a column are."""

    NUMBER = "number"
    BOOLEAN = "boolean"
    CATEGORY = "category"
    DATE = "date"


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column, and the numbers that turn its cells into features.

    Attributes:
        name: in the file.
        kind: of its cells. Dates are days since 1970-01-01.
        origin: subtracted from numbers before they are stored as float32, which would round them otherwise.
        categories: of a text column, in training, sorted.
        ordinal: whether categories are one feature, 0, 1, 2, ..., and not one for each.
        binary: whether the numbers of the training rows were 0 and 1 alone, and are decoded to these.
        fill: replaces missing cells; None where they have features of their own: zeros and an indicator.
        indicator: whether a further feature is 1 for missing cells and 0 for others.
        lowest: smaller cells are set to it; None for no limit.
        highest: the same for larger ones.
        quantiles: of the training rows, evenly spaced, for the scaling to a normal distribution; else empty.
        shift: subtracted from a stored number; then it is multiplied by `scale`.
        scale: see `shift`.
    """

    name: str
    kind: Kind
    origin: float = 0.0
    categories: list[str] = field(default_factory=list)
    ordinal: bool = False
    binary: bool = False
    fill: float | None = None
    indicator: bool = False
    lowest: float | None = None
    highest: float | None = None
    quantiles: list[float] = field(default_factory=list)
    shift: float = 0.0
    scale: float = 1.0

    @property
    def onehot(self) -> bool:
        """Whether it has one feature for each category."""
        return self.kind is Kind.CATEGORY and not self.ordinal

    @property
    def features(self) -> list[str]:
        """The names of its features."""
        names = [f"{self.name}={each}" for each in self.categories] if self.onehot else [self.name]
        return [*names, f"{self.name} missing"] if self.indicator else names

    def encode(self, stored: np.ndarray) -> np.ndarray:
        """Stored cells to unscaled features. Shapes: [B] -> [B, F]."""
        missing = np.isnan(stored)
        if self.onehot:
            codes = np.where(missing, -1 if self.fill is None else self.fill, stored)
            values = (codes[:, None] == np.arange(len(self.categories))).astype(np.float32)
        else:
            cells = stored if self.fill is None else np.where(missing, np.float32(self.fill), stored)
            if self.kind is Kind.CATEGORY:  # -1: text that was not in training is treated as missing
                cells = np.where(missing | (cells < 0), np.float32(self.fill or 0), cells)
            if self.lowest is not None or self.highest is not None:
                cells = np.clip(cells, self.lowest, self.highest)
            if self.quantiles:
                cells = self._normal().transform(cells[:, None].astype(np.float64))[:, 0]
            values = cells[:, None].astype(np.float32)
        return np.hstack([values, missing[:, None].astype(np.float32)]) if self.indicator else values

    def decode(self, features: np.ndarray) -> np.ndarray:
        """Unscaled features [B, F] to the cells [B] of the file: numbers, categories or None.

        True/false, and numbers that are 0 or 1, are decided at 0.5. Other numbers stay decimal, whole ones of
        the file included: a decoder estimates their mean.
        """
        if self.onehot:
            cells: np.ndarray = np.array([*self.categories, None], dtype=object)
            codes = features[:, : len(self.categories)].argmax(1) if self.categories else -1
            return cells[np.broadcast_to(codes, len(features))]
        values = features[:, 0].astype(np.float64)
        if self.quantiles:
            values = self._normal().inverse_transform(values[:, None])[:, 0]
        if self.kind is Kind.CATEGORY:
            codes = np.clip(np.rint(values), 0, len(self.categories) - 1).astype(int)
            return np.array(self.categories, dtype=object)[codes]
        if self.kind is Kind.BOOLEAN or self.binary:
            return (values >= 0.5).astype(np.int64 if self.binary else bool)
        return values + self.origin

    def _normal(self) -> Any:
        from sklearn.preprocessing import QuantileTransformer

        transformer = QuantileTransformer(n_quantiles=len(self.quantiles), output_distribution="normal")
        transformer.quantiles_ = np.array(self.quantiles)[:, None]
        transformer.references_ = np.linspace(0, 1, len(self.quantiles))
        transformer.n_quantiles_, transformer.n_features_in_ = len(self.quantiles), 1
        return transformer


class _Numbers(NamedTuple):
    """Columns that are numbers, encoded together: a table can have thousands.

    Attributes:
        fill: see `Column`. Shape: [C], float32; the same for the others.
        lowest: -inf for no limit.
        highest: inf for no limit.
        limited: whether any column has a limit.
    """

    fill: np.ndarray
    lowest: np.ndarray
    highest: np.ndarray
    limited: bool

    @classmethod
    def of(cls, columns: Sequence[Column]) -> _Numbers:
        def each(name: str, default: float) -> np.ndarray:
            values = [getattr(column, name) for column in columns]
            return np.array([default if value is None else value for value in values], np.float32)

        lowest, highest = each("lowest", -np.inf), each("highest", np.inf)
        limited = bool(np.isfinite(lowest).any() or np.isfinite(highest).any())
        return cls(each("fill", np.nan), lowest, highest, limited)

    def encode(self, stored: np.ndarray) -> np.ndarray:
        """Stored cells to unscaled features; `stored` itself where nothing changes. Shapes: [B, C]."""
        missing = np.isnan(stored)
        cells = np.where(missing, self.fill, stored) if missing.any() else stored
        return np.clip(cells, self.lowest, self.highest) if self.limited else cells


class Preparation:
    """All columns that are features, in order.

    Attributes:
        columns: fitted.
        features: the name of each feature.
    """

    def __init__(self, columns: Sequence[Column]) -> None:
        self.columns = list(columns)
        self.features = [name for column in self.columns for name in column.features]
        simple = all(
            column.kind is not Kind.CATEGORY and not column.quantiles and not column.indicator
            for column in self.columns
        )
        self._together = _Numbers.of(self.columns) if simple else None

    def encode(self, stored: np.ndarray) -> np.ndarray:
        """Stored cells to unscaled features. Shapes: [B, C] -> [B, F], float32."""
        if self._together is not None:
            return self._together.encode(stored)
        made = np.empty((len(stored), len(self.features)), np.float32)
        for at, (column, place) in enumerate(self.places()):
            made[:, place] = column.encode(stored[:, at])
        return made

    def decode(self, features: np.ndarray) -> dict[str, np.ndarray]:
        """Unscaled features to the cells of each column, as in the file. Shape: [B, F]."""
        return {column.name: column.decode(features[:, place]) for column, place in self.places()}

    def affine(self) -> tuple[np.ndarray, np.ndarray]:
        """The shift and the scale of each feature. Shapes: [F], [F], float64."""
        shift, scale = np.zeros(len(self.features)), np.ones(len(self.features))
        for column, place in self.places():
            if not column.onehot:
                shift[place.start], scale[place.start] = column.shift, column.scale
        return shift, scale

    def scaled(self, shift: np.ndarray, scale: np.ndarray) -> Preparation:
        """With the shift and the scale of the features that are numbers. Shapes: [F], [F]."""
        return Preparation(
            [
                replace(column, shift=float(shift[place.start]), scale=float(scale[place.start]))
                if column.kind in (Kind.NUMBER, Kind.DATE) or column.ordinal
                else column
                for column, place in self.places()
            ]
        )

    def spans(self) -> list[FeatureSpan]:
        """The features that are categories or true/false."""
        found = []
        for column, place in self.places():
            values = place.stop - column.indicator
            if column.onehot:
                found.append(FeatureSpan(place.start, values, "category"))
            elif column.kind is Kind.BOOLEAN:
                found.append(FeatureSpan(place.start, values, "boolean"))
            if column.indicator:
                found.append(FeatureSpan(values, place.stop, "boolean"))
        return found

    def places(self) -> Iterator[tuple[Column, slice]]:
        """Each column, and where its features are."""
        start = 0
        for column in self.columns:
            end = start + len(column.features)
            yield column, slice(start, end)
            start = end

    def plain(self) -> list[dict[str, Any]]:
        """The columns in plain types, for JSON, without what has its default."""
        defaults = Column(name="", kind=Kind.NUMBER)
        return [
            {
                key: value
                for key, value in asdict(column).items()
                if value != getattr(defaults, key) or key in ("name", "kind")
            }
            for column in self.columns
        ]

    @classmethod
    def of(cls, recorded: object) -> Preparation:
        """The inverse of `plain`, for records that may be damaged or forged. Raises ValueError."""
        if not isinstance(recorded, list):
            raise ValueError("its columns are no list")
        return cls([_column(each) for each in recorded])


def _column(recorded: object) -> Column:
    types: dict[str, Any] = {each.name: each.type for each in fields(Column)}
    if not isinstance(recorded, Mapping) or not {"name", "kind"} <= set(recorded) <= set(types):
        raise ValueError("a column is not as isthmus records it")
    for key, value in recorded.items():
        numbers = value if key == "quantiles" else [value]
        valid: bool
        match key:
            case "name" | "kind":
                valid = isinstance(value, str)
            case "categories":
                valid = isinstance(value, list) and all(isinstance(each, str) for each in value)
            case "ordinal" | "indicator" | "binary":
                valid = isinstance(value, bool)
            case _:
                valid = isinstance(numbers, list) and all(
                    isinstance(each, int | float) and not isinstance(each, bool) and abs(each) < LARGEST
                    for each in numbers
                )
        if not valid:
            raise ValueError(
                f"{key} of the column {str(recorded['name'])[:40]!r} is not as isthmus records it"
            )
    return Column(**{**recorded, "kind": Kind(recorded["kind"])})
