"""Makes pixels of figures of matplotlib, and text in them that may come from data."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from isthmus.common.atomic_files import replacing
from isthmus.common.messages import escaped

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = ("#0072b2", "#d55e00", "#009e73")  # Okabe and Ito: told apart by the colour-blind
GREY = "#555555"


def pixels(draw: Callable[[], Figure]) -> np.ndarray:
    """What `draw` draws, whatever the user's matplotlibrc. Shape: [height, width, 3], uint8."""
    from matplotlib import style
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    # a letter that the font lacks
    with style.context("default"), warnings.catch_warnings(action="ignore"):
        canvas = FigureCanvasAgg(draw())
        canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def save_figure(figure: Figure, path: Path) -> Path:
    """Write a .png file atomically."""
    with replacing(path) as beside, warnings.catch_warnings(action="ignore"):  # a letter the font lacks
        figure.savefig(beside, format="png")
    return path


def plain_text(text: str, most: int) -> str:
    """One line for matplotlib, which would read $...$ as a formula, and leave out names that begin with _."""
    line = escaped(text).replace("\n", " ").replace("\t", " ")
    line = line if len(line) <= most else f"{line[: most - 3]}..."
    line = line.replace("$", r"\$")
    return f" {line}" if line.startswith("_") else line or " "


def entitle(figure: Figure, title: str, note: str) -> None:
    """Write a title and a line below it at the top left, in the inches that `margins` leaves for them."""
    height = figure.get_figheight()
    figure.text(0.01, 1 - 0.1 / height, plain_text(title, 110), va="top", fontsize=11, fontweight="bold")
    figure.text(0.01, 1 - 0.33 / height, plain_text(note, 140), va="top", fontsize=8.5, color=GREY)


def margins(
    figure: Figure, *, left: float, right: float, bottom: float, top: float = 0.75, **gaps: float
) -> None:
    """Set the margins in inches. Layouts that matplotlib computes take as long as drawing twice."""
    width, height = figure.get_size_inches()
    figure.subplots_adjust(
        left=left / width, right=1 - right / width, bottom=bottom / height, top=1 - top / height, **gaps
    )
