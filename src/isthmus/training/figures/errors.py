"""Draws errors: how they are spread over examples, and which columns of a table they come from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from isthmus.training.figures.drawing import COLOURS, entitle, margins, plain_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BINS = 40
MOST_COLUMNS = 40
LONGEST = 48  # characters of the name of a column
ENDING = 14  # of these, that follow the dots in a longer one
SPREAD = 20.0  # ratio of large to small errors above which their axis is logarithmic


def draw_error_histogram(groups: Mapping[str, np.ndarray], note: str) -> Figure:
    """The mean squared errors of examples.

    Args:
        groups: errors by what they are of, such as validation, at most three. Shape: [N] each.
        note: what the groups are.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.2), dpi=110)
    axes = figure.subplots()
    margins(figure, left=0.75, right=0.15, bottom=0.55)
    histogram(axes, groups, xlabel="mean squared error of an example")
    for errors, colour in zip(groups.values(), COLOURS, strict=False):
        if len(errors):
            axes.axvline(
                float(errors.mean()),
                color=colour,
                linewidth=1,
                linestyle=":",
                label=f"mean {errors.mean():.4g}",
            )
    axes.legend(fontsize=8, frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    entitle(figure, "Reconstruction error of each example", note)
    return figure


def histogram(
    axes: Axes, groups: Mapping[str, np.ndarray], *, xlabel: str, threshold: float = float("nan")
) -> None:
    """Densities of the values of each group, on a linear or a logarithmic scale: see `bins`.

    Args:
        axes: to draw on.
        groups: values by what they are of; the first three are drawn. Shape: [N] each.
        xlabel: what the values are.
        threshold: drawn as a line if it is finite.
    """
    from matplotlib.patheffects import withStroke

    marked = [threshold] if np.isfinite(threshold) else []
    edges: Any
    edges, scale = bins(np.concatenate([*groups.values(), marked]), threshold)
    for (name, values), colour in zip(groups.items(), COLOURS, strict=False):
        if len(values):
            counted = np.clip(values, edges[0], edges[-1])
            weights = np.full(len(values), 1 / len(values))
            label = f"{name} ({len(values):,})"
            axes.hist(counted, edges, weights=weights, histtype="stepfilled", alpha=0.3, color=colour)
            axes.hist(counted, edges, weights=weights, histtype="step", color=colour, label=label)
    if scale:
        axes.set_xscale(**scale)
        axes.xaxis.set_major_formatter("{x:g}")
    for at in marked:
        axes.axvline(at, color="black", linewidth=1.4, linestyle="--")
        axes.annotate(
            f"threshold {at:.3g}",
            (at, 1),
            xycoords=("data", "axes fraction"),
            xytext=(3, -4),
            textcoords="offset points",
            rotation=90,
            va="top",
            fontsize=9,
            path_effects=[withStroke(linewidth=3, foreground="white")],
        )
    axes.set_xlabel(f"{xlabel}; {'log scale' if scale else 'larger ones in the last bin'}")
    axes.set_ylabel("share of rows")
    if any(map(len, groups.values())):
        axes.legend(fontsize=8, frameon=False)


def bins(values: np.ndarray, threshold: float = float("nan")) -> tuple[np.ndarray, dict[str, Any]]:
    """Edges of the bins of a histogram, and the scale of its axis, for `Axes.set_xscale`; {} if it is linear.

    The scale is logarithmic where values span orders of magnitude: if some are not positive, that of asinh,
    which is linear around zero. A linear scale ends at the 99th percentile, or beyond the threshold.

    Args:
        values: those that are not finite are ignored. Shape: [N].
        threshold: that has to be inside.
    """
    every = values[np.isfinite(values)].astype(np.float64)
    if not len(every):
        return np.linspace(0, 1, BINS + 1), {}
    low, high = float(every.min()), float(every.max())
    small, large = (float(np.quantile(every, share)) for share in (0.01, 0.99))
    if np.isfinite(threshold):
        small, large = min(small, threshold), max(large, threshold)
    if low > 0 and large > SPREAD * small:
        return np.geomspace(low, high, BINS + 1), {"value": "log"}
    unit = float(np.median(np.abs(every)))
    if low <= 0 and max(-small, large) > SPREAD * unit > 0:
        first, last = float(np.arcsinh(low / unit)), float(np.arcsinh(high / unit))
        return unit * np.sinh(np.linspace(first, last, BINS + 1)), {"value": "asinh", "linear_width": unit}
    if np.isfinite(threshold):
        large = max(large, threshold + 0.1 * abs(threshold - low))  # room beside it
    return np.linspace(low, large if large > low else low + 1, BINS + 1), {}


class ColumnErrors(NamedTuple):
    """How well the columns of a table are reconstructed.

    Attributes:
        names: of the columns. Length: C.
        errors: the squared error of each, in scaled values; of one-hot categories, summed over these. Its
            mean over examples. Shape: [C].
        spreads: what the error would be if every cell were the mean of its column. Shape: [C].
    """

    names: Sequence[str]
    errors: np.ndarray
    spreads: np.ndarray


def column_errors(
    columns: Sequence[tuple[str, slice]], errors: np.ndarray, spreads: np.ndarray
) -> ColumnErrors:
    """Errors of columns from those of features.

    Args:
        columns: their names, and which features are theirs.
        errors: the mean squared error of each feature. Shape: [F].
        spreads: the variance of each feature. Shape: [F].
    """
    names, places = [name for name, _ in columns], [place for _, place in columns]
    sums = (np.array([each[place].sum() for place in places]) for each in (errors, spreads))
    return ColumnErrors(names, *sums)


def draw_column_errors(found: ColumnErrors, note: str) -> Figure:
    """Bars from the largest error down, and a mark where a model would be that has learnt nothing.

    Long names lose their middle; those that would be alike are given the number of their column, from 1.

    Args:
        found: of all columns; the `MOST_COLUMNS` worst are drawn.
        note: of which rows.
    """
    from matplotlib.figure import Figure

    order = np.argsort(-found.errors, kind="stable")
    shown, rest = order[:MOST_COLUMNS][::-1], order[MOST_COLUMNS:]
    texts = [_shortened(name) for name in found.names]
    alike = Counter(texts)
    names = [texts[each] if alike[texts[each]] == 1 else f"{each + 1}: {texts[each]}" for each in shown]
    names = [plain_text(name, LONGEST + 8) for name in names]
    longest = max(len(name) for name in names)
    figure = Figure(figsize=(5.6 + 0.075 * longest, 1.45 + 0.21 * len(shown)), dpi=110)
    axes = figure.subplots()
    margins(figure, left=0.35 + 0.075 * longest, right=0.3, bottom=0.6)
    axes.barh(np.arange(len(shown)), found.errors[shown], height=0.72, color=COLOURS[0], label="error")
    axes.plot(
        found.spreads[shown],
        np.arange(len(shown)),
        "|",
        color=COLOURS[1],
        markersize=9,
        markeredgewidth=1.6,
        label="if each cell were the column's mean",
    )
    axes.set_yticks(np.arange(len(shown)), names, fontsize=8)
    axes.set_ylim(-0.6, len(shown) - 0.4)
    axes.set_xlim(left=0)
    axes.set_xlabel("mean squared error, in scaled values as the loss sees them", fontsize=8)
    axes.tick_params(axis="x", labelsize=8)
    axes.grid(axis="x", alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=8, frameon=False, loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2)
    if len(rest):
        note += f"; the other {len(rest):,} columns have at most {found.errors[rest].max():.3g}"
    entitle(figure, "Error of each column", note)
    return figure


def _shortened(name: str) -> str:
    """A long name without its middle: names often differ at their ends."""
    return name if len(name) <= LONGEST else f"{name[: LONGEST - ENDING - 3]}...{name[-ENDING:]}"
