"""A map of codes as one HTML file that is looked at without a network.

Names and labels are data in it, never HTML: they are written as JSON with < > & escaped, and shown as text.
"""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from isthmus.common.atomic_files import write_text
from isthmus.common.messages import printable
from isthmus.tasks.embedding.mapping import Map
from isthmus.tasks.embedding.shown import Shown
from isthmus.training.figures.colours import Colouring
from isthmus.training.figures.latent_map import emphasis

LARGEST = 9_000_000  # characters of what is shown of examples; Plotly takes 5 MB
LONGEST = 40  # characters of the name of a class
# in a script, </script> would end it
ESCAPES = {ord(each): f"\\u{ord(each):04x}" for each in "<>&\u2028\u2029"}


def write_page(
    path: Path,
    drawn: Map,
    colours: Colouring,
    rows: np.ndarray,
    shown: Shown,
    about: list[tuple[str, list[str]]],
    *,
    title: str,
    note: str,
) -> Path:
    """Write the page.

    Args:
        path: of the file.
        drawn: the map.
        colours: of its rows.
        rows: positions of the P rows that are drawn. Shape: [P].
        shown: what is shown of these; fewer are drawn if it is too large.
        about: names and, for each of these rows, texts that are shown beside it.
        title: what is shown.
        note: a line below the title.
    """
    from plotly.offline import get_plotlyjs

    if shown.size > LARGEST:
        some = np.linspace(0, len(rows) - 1, len(rows) * LARGEST // shown.size).astype(int)
        note += f"; {len(some):,} of these {len(rows):,} points, to keep the file small"
        rows, shown = rows[some], shown.some(some)
        about = [(name, [texts[row] for row in some]) for name, texts in about]
    x, y = (np.round(drawn.xy[rows, axis].astype(np.float64), 5) for axis in (0, 1))
    values = colours.values[rows]
    content: dict[str, Any] = {
        "title": printable(title),
        "note": printable(note),
        "axes": drawn.axes,
        "ticks": drawn.has_scale,
        "x": _numbers(x),
        "y": _numbers(y),
        "value": _numbers(values),
        "legend": printable(colours.title, LONGEST),
        "limits": colours.limits,
        "size": 5 if len(rows) > 2_000 else 7,
        "classes": colours.classes and _classes(colours, len(rows)),
        "images": shown.images,
        "columns": shown.columns,
        "cells": shown.cells,
        "about": [(name, [printable(text) for text in texts]) for name, texts in about],
    }
    data = json.dumps(content, ensure_ascii=True, separators=(",", ":"), allow_nan=False).translate(ESCAPES)
    before, between, end = _template()
    write_text(path, "".join((before, get_plotlyjs(), between, data, end)))
    return path


def _classes(colours: Colouring, count: int) -> list[dict[str, Any]]:
    """How the classes look; those of higher ranks are drawn on top."""
    classes, levels = colours.classes or [], colours.levels()
    ranks = np.argsort(np.argsort(levels, kind="stable"))
    looks = [emphasis(int(level), count) for level in levels]
    return [
        {
            "name": printable(name, LONGEST),
            "colour": colours.colour(place),
            "symbol": colours.marker(place),
            "rank": int(ranks[place]),
            "scale": looks[place].scale,
            "alpha": looks[place].alpha,
        }
        for place, name in enumerate(classes)
    ]


def _template() -> tuple[str, str, str]:
    """The page before and after Plotly and the data."""
    text = files(__package__).joinpath("page.html").read_text(encoding="utf-8")
    before, after = text.split("PLOTLY")
    between, end = after.split("DATA")
    return before, between, end


def _numbers(values: np.ndarray) -> list[float | None]:
    """For JSON, which has no infinity."""
    return [value if np.isfinite(value) else None for value in values.tolist()]
