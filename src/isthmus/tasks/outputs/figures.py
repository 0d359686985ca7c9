"""Writes figures of matplotlib, and text in them that may come from data."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from isthmus.common.atomic_files import replacing
from isthmus.common.messages import escaped

if TYPE_CHECKING:
    from matplotlib.figure import Figure


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
