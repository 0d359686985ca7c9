"""A picture of the training cases: how many times as fast as the resident loop."""

from __future__ import annotations

import statistics
from importlib.util import find_spec
from pathlib import Path

from registry import CONTESTANTS, REFERENCE
from turns import Rounds

from isthmus.common.atomic_files import replacing

OWN, OTHER = "#c44e52", "#8c9bb0"  # colours of isthmus and of all others


def draw(path: Path, measured: dict[str, Rounds]) -> bool:
    """Draw one panel per case with a bar for each contestant; False where matplotlib is not installed."""
    if find_spec("matplotlib") is None:
        return False
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    heights = [len(rounds.answers) for rounds in measured.values()]
    figure, panels = pyplot.subplots(
        len(measured),
        figsize=(8, 1.0 * len(measured) + 0.36 * sum(heights)),
        height_ratios=heights,
        squeeze=False,
        layout="constrained",
    )
    for panel, (case, rounds) in zip(panels[:, 0], measured.items(), strict=True):
        names = [name for name in CONTESTANTS if name in rounds.answers][::-1]
        ratios = [rounds.ratios(name, REFERENCE) for name in names]
        middle = [statistics.median(values) for values in ratios]
        below = [m - min(values) for m, values in zip(middle, ratios, strict=True)]
        above = [max(values) - m for m, values in zip(middle, ratios, strict=True)]
        colours = [OWN if name.startswith("isthmus") else OTHER for name in names]
        panel.barh(names, middle, xerr=[below, above], color=colours, error_kw={"lw": 1, "capsize": 3})
        panel.axvline(1.0, color="black", lw=1, ls="--")
        for row, values in enumerate(ratios):
            panel.annotate(
                f"{middle[row]:.2f}",
                (max(values), row),
                xytext=(5, 0),
                textcoords="offset points",
                va="center",
                fontsize=8,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},
            )
        panel.set_title(case, loc="left", fontsize=10)
        panel.spines[["top", "right"]].set_visible(False)
        panel.margins(x=0.1)
    panels[-1, 0].set_xlabel(
        f"training speed, times the {REFERENCE} loop (right is faster): median, least and most of the turns"
    )
    with replacing(path) as beside:
        figure.savefig(beside, dpi=150, format="png")
    pyplot.close(figure)
    return True
