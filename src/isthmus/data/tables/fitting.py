"""Fits the columns of a table on its training rows, with scikit-learn's transformers."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from isthmus.common.errors import check_float, one_of
from isthmus.data.tables.preparation import DEVIATION, LARGEST, QUANTILES, Column, Kind

MISSING = ("refuse", "drop", "mean", "median", "indicator")
SCALINGS = ("standardize", "minmax", "robust", "quantile", "none")


class Settings(NamedTuple):
    """How columns become features.

    Attributes:
        missing: refuse, drop, mean, median or indicator.
        scaling: standardize, minmax, robust, quantile or none.
        clip: numbers further from the median are set to this distance, in robust standard deviations; None
            for no limit.
    """

    missing: str
    scaling: str
    clip: float | None

    @classmethod
    def of(cls, *, missing: str, scaling: str, clip: float | None) -> Settings:
        """Check the keys of a config. Raises `BadInput`."""
        return cls(
            one_of("missing", missing, MISSING),
            one_of("scaling", scaling, SCALINGS),
            None if clip is None else check_float("clip", clip, above=0.0),
        )


def fit(column: Column, cells: np.ndarray, settings: Settings) -> Column:
    """The column with the numbers that its training cells determine, but not the scaling of its features.

    Args:
        column: as it was read.
        cells: stored cells of the training rows. Shape: [N].
        settings: how columns become features.
    """
    missing = np.isnan(cells)
    column = replace(column, indicator=settings.missing == "indicator" and bool(missing.any()))
    present = cells[~missing].astype(np.float64)
    if column.kind is Kind.CATEGORY:
        return _fit_categories(column, present)
    if not len(present):
        return replace(column, fill=0.0)
    # recorded even where nothing is missing, for new data in which something is
    kind = "most_frequent" if column.kind is Kind.BOOLEAN else settings.missing
    column = replace(column, fill=_imputed(present, kind if kind in ("median", "most_frequent") else "mean"))
    if column.kind is Kind.BOOLEAN:
        return column
    two = (present.min(), present.max()) == (0.0, 1.0) and bool(np.isin(present, (0.0, 1.0)).all())
    column = replace(column, binary=two and column.kind is Kind.NUMBER and not column.origin)
    if settings.clip is not None:
        middle, deviation = robust(present)
        reach = settings.clip * deviation
        if deviation and abs(middle) + reach < LARGEST:
            column = replace(column, lowest=middle - reach, highest=middle + reach)
    shown = column.encode(cells)[:, :1]
    if settings.scaling == "quantile":
        return replace(column, quantiles=_quantiles(shown))
    if settings.scaling == "minmax":
        return replace(column, lowest=float(shown.min()), highest=float(shown.max()))
    return column


def fit_scaling(features: np.ndarray, scaling: str) -> tuple[np.ndarray, np.ndarray]:
    """The shift and the factor of each feature; quantiles are scaled already. Shapes: [N, F] -> [F], [F]."""
    from sklearn.preprocessing import MinMaxScaler, RobustScaler

    width = features.shape[1]
    if scaling == "minmax":
        extremes = MinMaxScaler().fit(features.astype(np.float64))
        return extremes.data_min_, extremes.scale_
    if scaling == "robust":
        middle = RobustScaler().fit(features.astype(np.float64))
        return middle.center_, 1 / middle.scale_
    return np.zeros(width), np.ones(width)


def robust(cells: np.ndarray) -> tuple[float, float]:
    """The median, and the standard deviation of the normal distribution with the same median deviation."""
    middle = float(np.median(cells))
    return middle, float(np.median(np.abs(cells - middle))) * DEVIATION


def _fit_categories(column: Column, present: np.ndarray) -> Column:
    seen, counts = np.unique(present[present >= 0].astype(int), return_counts=True)
    fill = None
    if not column.indicator and len(seen):
        fill = float(counts.argmax())
    return replace(column, categories=[column.categories[at] for at in seen], fill=fill)


def _imputed(present: np.ndarray, strategy: str) -> float:
    from sklearn.impute import SimpleImputer

    return float(SimpleImputer(strategy=strategy).fit(present[:, None]).statistics_[0])


def _quantiles(values: np.ndarray) -> list[float]:
    from sklearn.preprocessing import QuantileTransformer

    count = min(QUANTILES, len(values))
    fitted = QuantileTransformer(n_quantiles=count, subsample=None).fit(values.astype(np.float64))
    return [float(each) for each in fitted.quantiles_[:, 0]]
