"""Codes of all rows as a table, their map as a picture and a page, and how good they are beside PCA."""

from __future__ import annotations

import math
from functools import reduce
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from isthmus.common.atomic_files import remove, write_text
from isthmus.common.errors import LARGEST_SEED, check_int, one_of
from isthmus.common.listing import class_name
from isthmus.data.loading.splits import evenly_spaced
from isthmus.runs.folder.json_text import as_json
from isthmus.tasks.embedding.division import MOST_VALUES, divide
from isthmus.tasks.embedding.encoded import encode
from isthmus.tasks.embedding.mapping import MOST_FITTED, Map, check_method, map_codes
from isthmus.tasks.embedding.page import write_page
from isthmus.tasks.embedding.quality import Quality, plain, quality
from isthmus.tasks.embedding.rows import PARTS, Rows
from isthmus.tasks.embedding.shown import show
from isthmus.tasks.embedding.table import FORMATS, write_codes
from isthmus.tasks.outputs.places import made
from isthmus.tasks.trained_model import TrainedModel
from isthmus.training.figures.colours import classes_of, colouring
from isthmus.training.figures.drawing import save_figure
from isthmus.training.figures.latent_map import draw_map

MOST_DRAWN = 200_000  # points of the picture
MOST_SEED = min(LARGEST_SEED, 2**32 - 1)  # that NumPy's generators accept


class Embedded(NamedTuple):
    """What `embed` did.

    Attributes:
        rows: number of rows that have a code.
        map: positions of these rows.
        quality: None if there are too few rows.
        files: that were written.
    """

    rows: int
    map: Map
    quality: Quality | None
    files: list[Path]


def embed(
    model: TrainedModel,
    rows: Rows,
    folder: Path,
    *,
    data: str,
    method: str | None = None,
    table: str = "parquet",
    seed: int = 0,
) -> Embedded:
    """Write codes.parquet (or .csv, .npy), map.png, map.html and quality.json to a folder.

    Incomplete rows (see `Examples`) are in codes.* alone, without a code.

    Args:
        model: the trained model.
        rows: see `rows`.
        folder: made if it is missing.
        data: what the rows are called.
        method: of the map; see `mapping.map_codes`.
        table: one of `FORMATS`.
        seed: of the map, and of a random split.

    Raises:
        BadInput: a row cannot be read, or there is no such map.
    """
    one_of("--table", table, FORMATS)
    check_method(method)
    check_int("--seed", seed, least=0, most=MOST_SEED)
    every, rows = rows, rows._replace(examples=rows.examples.complete())
    count, features = len(rows.examples), math.prod(model.shape)
    division = divide(rows, features, seed=seed)
    # of the rows that a map is fitted to, as many as can be held in memory
    mapped = evenly_spaced(torch.arange(count), MOST_FITTED)
    drawn_rows = evenly_spaced(mapped, max(1, MOST_VALUES // features)).numpy()
    needed = [drawn_rows] if division is None else [drawn_rows, division.fitted, division.scored]
    encoded = encode(model, rows, reduce(np.union1d, needed))
    drawn = map_codes(encoded.codes, encoded.mse, method=method, seed=seed)
    labelled = rows.examples.labels, rows.examples.label_names
    label = model.config["data"].get("label")
    colours = colouring(*labelled, encoded.mse, label if isinstance(label, str) else "class")
    found = None if division is None else quality(encoded, division, *classes_of(*labelled), seed=seed)
    shown = show(model, encoded.values(drawn_rows))
    title = f"{model.name}: {drawn.title}, {model.latent_dim} numbers per code"
    pictured = evenly_spaced(torch.from_numpy(drawn.fitted), MOST_DRAWN).numpy()
    made(folder)
    files = [
        write_codes(folder / f"codes.{table}", every, encoded, drawn),
        save_figure(
            draw_map(
                drawn.plane,
                colours,
                pictured,
                title=title,
                note=_of(pictured, count, data),
                has_scale=drawn.has_scale,
            ),
            folder / "map.png",
        ),
        write_page(
            folder / "map.html",
            drawn,
            colours,
            drawn_rows,
            shown,
            _about(rows, drawn_rows, encoded.mse),
            title=title,
            note=_of(drawn_rows, count, data),
        ),
    ]
    if found is not None:
        about = {"run": model.name, "data": data, "rows": count, "latent_dim": model.latent_dim, "seed": seed}
        write_text(folder / "quality.json", as_json(plain(found, about)))
        files.append(folder / "quality.json")
    for name in ("quality.json", *(f"codes.{each}" for each in FORMATS)):
        if folder / name not in files:
            remove(folder / name)  # of an earlier call, with other codes
    return Embedded(count, drawn, found, files)


def _of(shown: np.ndarray, count: int, data: str) -> str:
    """Which rows are shown."""
    some = "all" if len(shown) == count else f"{len(shown):,} of"
    return f"{some} {count:,} rows of {data}"


def _about(rows: Rows, chosen: np.ndarray, mse: np.ndarray) -> list[tuple[str, list[str]]]:
    """Names, and texts of the chosen rows."""
    examples, parts = rows.examples, rows.parts
    about = [("row", [str(row) for row in examples.row_numbers(slice(0, len(examples)))[chosen]])]
    if examples.names is not None:
        about.append(("name", [str(examples.names[row]) for row in chosen]))
    if examples.labels is not None:
        labels = examples.labels[torch.from_numpy(chosen)].tolist()
        about.append(("label", [class_name(label, examples.label_names) for label in labels]))
    if parts is not None:
        about.append(("part", [PARTS[parts[row]] for row in chosen]))
    about.append(("mse", [f"{error:.4g}" for error in mse[chosen]]))
    return about
