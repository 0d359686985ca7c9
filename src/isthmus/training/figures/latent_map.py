"""Draws a map of codes."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from isthmus.training.figures.colours import Colouring
from isthmus.training.figures.drawing import GREY, plain_text
from isthmus.training.figures.plane import Plane

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIZE = (8.0, 6.5)  # inches
RESOLUTION = 150  # dots per inch
LONGEST = 28  # characters of the name of a class
SHAPES = {"circle": "o", "triangle-up": "^", "circle-open": "."}  # Plotly's names of markers
APART = 0.04  # of the map's sides: names of classes whose middles are nearer would cover each other
OPAQUE = 500  # points up to which they are hardly transparent
MOST_EMPHASIZED = 5  # level of rarity from which points are not drawn larger
INK = 40_000  # square points of all markers together


def draw_map(
    plane: Plane,
    colours: Colouring,
    shown: np.ndarray,
    *,
    title: str,
    note: str,
    has_scale: bool = True,
    resolution: int = RESOLUTION,
) -> Figure:
    """A scatter plot.

    Args:
        plane: the map.
        colours: of its rows.
        shown: positions of the rows that are drawn. Shape: [*].
        title: what is shown.
        note: a line below the title.
        has_scale: whether distances along the axes mean something.
        resolution: dots per inch.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=SIZE, dpi=resolution, layout="constrained")
    axes = figure.subplots()
    order = np.random.default_rng(0).permutation(shown)  # classes of a level hide each other alike
    size = float(np.clip(INK / len(order), 1.0, 40.0))
    if colours.classes is None:
        _numbers(axes, plane.xy, colours, order, size)
    else:
        _classes(axes, plane.xy, colours, order, size)
    figure.suptitle(plain_text(title, 90), x=0.02, ha="left", fontsize=13, fontweight="bold")
    axes.set_title(plain_text(note, 120), loc="left", fontsize=9, color=GREY)
    axes.set(xlabel=plane.axes[0], ylabel=plane.axes[1])
    axes.spines[["top", "right"]].set_visible(False)
    if not has_scale:
        axes.set(xticks=[], yticks=[])
    return figure


class Emphasis(NamedTuple):
    """How points of a class look.

    Attributes:
        scale: of the diameter.
        alpha: 1 is opaque.
    """

    scale: float
    alpha: float


def emphasis(level: int, count: int) -> Emphasis:
    """Rare classes are drawn larger and less transparent, so that frequent ones do not hide them.

    Args:
        level: see `Colouring.levels`.
        count: of all points: many are more transparent.
    """
    alpha = float(np.clip((OPAQUE / count) ** 0.25, 0.6, 0.85))
    if level < 0:
        return Emphasis(0.7, 0.6 * alpha)
    rare = min(level, MOST_EMPHASIZED) / MOST_EMPHASIZED
    return Emphasis(1 + 1.5 * rare, alpha + (1 - alpha) * rare)


def _classes(axes: Axes, xy: np.ndarray, colours: Colouring, order: np.ndarray, size: float) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patheffects import withStroke
    from scipy.spatial.distance import pdist

    assert colours.classes is not None
    place = colours.values[order].astype(int)
    markers = np.array([colours.marker(number) for number in range(len(colours.classes))])
    tints = np.array([colours.colour(number) for number in range(len(colours.classes))])
    levels = colours.levels()
    for level in np.unique(levels):  # the rarest on top
        for marker, shape in SHAPES.items():
            rows = order[(markers[place] == marker) & (levels[place] == level)]
            if not len(rows):
                continue
            look = emphasis(int(level), len(order))
            x, y = xy[rows].T
            axes.scatter(
                x,
                y,
                s=size * look.scale**2,
                c=tints[colours.values[rows].astype(int)],
                marker=shape,
                linewidths=0.5 * (level > 0),
                edgecolors="white",
                alpha=look.alpha,
            )
    names = [plain_text(name, LONGEST) for name in colours.classes]
    named = [each for each in np.unique(place) if not colours.is_other(each)]
    middles = np.array([np.median(xy[order[place == each]], axis=0) for each in named])
    span = np.ptp(xy[order], axis=0) + 1e-30
    if len(named) > 1 and pdist(middles / span).min() > APART:
        outline = [withStroke(linewidth=3, foreground="white")]
        for each, (x, y) in zip(named, middles, strict=True):
            axes.text(x, y, names[each], ha="center", va="center", fontsize=9, path_effects=outline)
    handles = [
        Line2D([], [], ls="", marker=SHAPES[str(marker)], color=str(tint))
        for marker, tint in zip(markers, tints, strict=True)
    ]
    legend = axes.legend(
        handles, names, title=plain_text(colours.title, LONGEST), loc="center left", bbox_to_anchor=(1, 0.5)
    )
    legend.set_frame_on(False)


def _numbers(axes: Axes, xy: np.ndarray, colours: Colouring, order: np.ndarray, size: float) -> None:
    low, high = colours.limits
    x, y = xy[order].T
    points = axes.scatter(x, y, s=size, c=colours.values[order], vmin=low, vmax=high, linewidths=0, alpha=0.8)
    bar = points.get_figure().colorbar(points, ax=axes, extend="both", pad=0.02)  # type: ignore[union-attr]
    bar.set_label(plain_text(colours.title, LONGEST))
