"""How a notebook shows a run: HTML without links or scripts, whose colours suit light and dark pages."""

from __future__ import annotations

import base64
import contextlib
import io
import os
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from isthmus.common.errors import cut
from isthmus.common.messages import escaped, relative
from isthmus.runs.config.keys import against_defaults
from isthmus.runs.folder.run_folder import RunFolder
from isthmus.runs.loading import Loaded, load
from isthmus.training.inference import evaluating

if TYPE_CHECKING:
    from isthmus.notebook.run import Run

GREY = "#888888"  # legible on white and on black
LINES = {"train/loss": ("train", "#1f8dd6"), "val/loss": ("validation", "#e8710a")}
ROWS, COLUMNS = 3, 8  # of a table that are shown
MOST_READ = 64 << 20  # bytes of a data file that is read to show some rows
MOST_FIGURE = 4 << 20  # bytes of a figure
CELL = "padding:2px 10px;border-bottom:1px solid rgba(128,128,128,.35);text-align:"
TARGET = "._target_"
LONGEST = 80  # characters of a key and its value
STAGES = ("train", "val", "test")


def page(run: Run) -> str:
    """The HTML of a run."""
    parts = [
        f"<div style='margin:4px 0'><b>{_text(run.name)}</b> {_text(run.status)}, "
        f"<code>{_text(relative(run.path))}</code></div>",
        _changes(run),
        "<div style='display:flex;flex-wrap:wrap;gap:24px;align-items:flex-start'>",
        f"<div>{_results(run)}</div>",
        f"<div>{_curve(run)}</div>",
        "</div>",
        _figure(run.path / "figures") or _examples(run.path),
    ]
    return f"<div style='color:inherit;background:transparent'>{''.join(parts)}</div>"


def _changes(run: Run) -> str:
    """What the config changes against the defaults; classes and files without their places."""
    said = []
    for key, (_, here) in against_defaults(run.config).items():
        value = str(here).rpartition("." if key.endswith(TARGET) else os.sep)[2]
        said.append(f"<code>{_text(cut(f'{key.removesuffix(TARGET)}={value}', LONGEST))}</code>")
    return f"<div style='margin:4px 0'>{' '.join(said)}</div>"


def _results(run: Run) -> str:
    results = run.results
    stages = [stage for stage in STAGES if any(name.startswith(f"{stage}/") for name in results)]
    names = dict.fromkeys(name.partition("/")[2] for name in results if "/" in name)
    cells = [[results.get(f"{stage}/{name}") for stage in stages] for name in names]
    rows = [
        [name, *(_number(value) for value in row)]
        for name, row in zip(names, cells, strict=True)
        if all(value is None or isinstance(value, int | float) for value in row)
    ]
    return _table(["", *stages], rows) if rows else ""


def _curve(run: Run) -> str:
    """The losses of the epochs as an SVG."""
    history = run.history()
    if not len(history["epoch"]):
        return ""
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(4.2, 2.4), layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.add_subplot()
    for name, (label, colour) in LINES.items():
        if name in history:
            present = np.isfinite(history[name])
            epochs, losses = history["epoch"][present], history[name][present]
            axes.plot(epochs, losses, color=colour, label=label, marker="." if len(epochs) < 2 else None)
    axes.set_xlabel("epoch", color=GREY)
    axes.set_ylabel("loss", color=GREY)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.tick_params(colors=GREY)
    axes.set_facecolor("none")
    for side, spine in axes.spines.items():
        spine.set_color(GREY)
        spine.set_visible(side in ("left", "bottom"))
    axes.legend(frameon=False, labelcolor=GREY)
    content = io.BytesIO()
    figure.savefig(content, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return _image(content.getvalue(), "svg+xml", "loss of each epoch")


def _figure(folder: Path) -> str:
    """The newest grid of originals over reconstructions that the run has drawn."""
    grids = sorted(folder.glob("reconstruction_step=*.png"))
    if not grids or grids[-1].is_symlink() or grids[-1].stat().st_size > MOST_FIGURE:
        return ""
    content = grids[-1].read_bytes()
    return f"<div>{_image(content, 'png', 'originals over reconstructions', 'max-width:100%;')}</div>"


def _examples(path: Path) -> str:
    """Some held-out rows of a table or an array in a file, each over its reconstruction."""
    with contextlib.suppress(OSError, ValueError):  # the data may be gone, or there is no checkpoint yet
        folder = RunFolder.open(path)
        file = str(folder.read_config().data.get("path"))
        small = os.path.isfile(file) and os.path.getsize(file) < MOST_READ
        if small or file.startswith("example:"):
            run = load(folder)
            if len(run.parts.data.source.shape) == 1:
                return _rows(run)
    return ""


def _rows(run: Loaded) -> str:
    data, module = run.parts.data, run.parts.module
    stored = data.spread(data.held_out, ROWS)
    with evaluating(module):
        x = module.scaling(stored)
        back = module.scaling.invert(module.autoencoder.reconstruct(x))
    names, pairs = _decoded(run, stored, back)
    head = ["", *names[:COLUMNS], *(["..."] if len(names) > COLUMNS else [])]
    rows = []
    for number, pair in enumerate(pairs, 1):
        for kind, cells in zip((f"row {number}", "reconstruction"), pair, strict=True):
            rows.append([kind, *map(_cell, cells[:COLUMNS]), *([""] if len(names) > COLUMNS else [])])
    return f"<div style='overflow-x:auto;margin:4px 0'>{_table(head, rows)}</div>"


def _decoded(
    run: Loaded, stored: torch.Tensor, back: torch.Tensor
) -> tuple[list[str], Iterable[tuple[list[object], list[object]]]]:
    """Names of columns, and the cells of each row and of its reconstruction."""
    preparation = getattr(run.parts.data.source, "preparation", None)
    if preparation is None:
        names = [f"feature {feature}" for feature in range(stored.shape[1])]
        return names, zip(stored.tolist(), back.tolist(), strict=True)
    from isthmus.tasks.inputs.tables import decoded

    tables = [decoded(preparation, each) for each in (stored, back)]
    cells = [list(map(list, zip(*table.to_pydict().values(), strict=True))) for table in tables]
    return tables[0].column_names, zip(*cells, strict=True)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = []
    for tag, cells in (("th", head), *(("td", row) for row in rows)):
        sides = ("left", *["right"] * (len(cells) - 1))
        inner = "".join(
            f"<{tag} style='{CELL}{side}'>{_text(cell)}</{tag}>"
            for cell, side in zip(cells, sides, strict=True)
        )
        lines.append(f"<tr style='background:transparent'>{inner}</tr>")
    return f"<table style='border-collapse:collapse;color:inherit'>{''.join(lines)}</table>"


def _image(content: bytes, kind: str, what: str, style: str = "") -> str:
    encoded = base64.b64encode(content).decode()
    return (
        f"<img alt='{what}' style='{style}background:transparent' src='data:image/{kind};base64,{encoded}'>"
    )


def _cell(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.5g}"


def _text(value: object) -> str:
    """Escaped text, which may come from data and from files of third parties."""
    return escape(escaped(str(value)))
