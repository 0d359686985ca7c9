"""New examples as files: samples, interpolations, traversals, and the plane of two-dimensional codes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from isthmus.common.errors import BadInput
from isthmus.tasks.outputs.files import write_array, write_csv, write_grid
from isthmus.tasks.outputs.places import made
from isthmus.tasks.trained_model import TrainedModel

MOST = 1_000_000  # samples of one call
SHOWN = 256  # samples in the picture, at most
PAIRS = 8  # interpolations
STEPS = 10  # examples of an interpolation and of a traversal
PLANE = 20  # images on each side of the plane
SPAN = 2.5  # standard deviations of the codes that the plane and the traversals show, to both sides


def generate(
    model: TrainedModel, folder: Path, *, count: int, sampler: str | None = None, seed: int = 0
) -> list[Path]:
    """Write new examples to a folder.

    Images: samples.npy [N, C, H, W], and the pictures samples.png (of the first `SHOWN`), interpolations.png,
    traversals.png and, of two-dimensional codes, plane.png. Rows of a table: samples.csv, and traversals.csv,
    which begins with the coordinate that is moved, counted from 0, and where it is, in standard deviations of
    the codes from their mean. Features: samples.npy [N, F] and traversals.npy [coordinates, steps, F].

    Args:
        model: the trained model.
        folder: made if it is missing.
        count: number of samples.
        sampler: see `TrainedModel.generate`.
        seed: of the random numbers.

    Returns:
        The files.

    Raises:
        BadInput: see `TrainedModel.generate`.
    """
    if not 1 <= count <= MOST:
        raise BadInput("-n", count, f"must be from 1 to {MOST:,}")
    samples = model.generate(count, sampler=sampler, seed=seed)
    ends = model.sample_codes(2 * PAIRS, sampler=sampler, seed=seed + 1)
    paths = model.interpolate_codes(ends[:PAIRS], ends[PAIRS:], steps=STEPS)
    dims = model.most_varied()
    traversals = model.traverse(dims=dims, steps=STEPS, span=SPAN)
    made(folder)
    if isinstance(samples, pa.Table):
        places = np.linspace(-SPAN, SPAN, STEPS).round(3)
        traversals = traversals.add_column(0, "deviations", [np.tile(places, len(dims))])
        traversals = traversals.add_column(0, "coordinate", [np.repeat(dims, STEPS)])
        return [
            write_csv(folder / f"{name}.csv", each)
            for name, each in (("samples", samples), ("traversals", traversals))
        ]
    files = [write_array(folder / "samples.npy", samples)]
    if len(model.shape) != 3:
        return [*files, write_array(folder / "traversals.npy", traversals)]

    def picture(
        name: str, images: Any, title: str, columns: int | None = None, names: Sequence[str] = ()
    ) -> None:
        flat = torch.from_numpy(np.ascontiguousarray(images)).reshape(-1, *model.shape)
        shown = model.displayed_range
        path = folder / name
        files.append(write_grid(path, flat, columns=columns, value_range=shown, title=title, names=names))

    drawn, span = sampler or model.default_sampler, f"from -{SPAN:g} to {SPAN:g} standard deviations"
    some = "" if count <= SHOWN else f"the first {SHOWN} of "
    picture("samples.png", samples[:SHOWN], f"{some}{count:,} samples of the {drawn}, seed {seed}")
    picture("interpolations.png", paths, f"each row: from one sample of the {drawn} to another", STEPS)
    rows = [f"z_{dim}" for dim in dims]
    picture("traversals.png", traversals, f"each row: one number of the code, {span}", STEPS, rows)
    if model.latent_dim == 2:
        plane = model.plane(PLANE, span=SPAN)
        picture("plane.png", plane, f"the plane of codes, z_0 to the right, z_1 up, {span}", PLANE)
    return files
