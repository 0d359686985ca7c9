"""New examples as files: samples, interpolations, traversals, and the plane of two-dimensional codes."""

from __future__ import annotations

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

    Images: samples.npy [N, C, H, W], and the pictures samples.png, interpolations.png, traversals.png and, of
    two-dimensional codes, plane.png. Rows of a table: samples.csv and traversals.csv. Features: the same as
    .npy [N, F].

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
    traversals = model.traverse(steps=STEPS, span=SPAN)
    made(folder)
    if isinstance(samples, pa.Table):
        return [
            write_csv(folder / f"{name}.csv", each)
            for name, each in (("samples", samples), ("traversals", traversals))
        ]
    files = [write_array(folder / "samples.npy", samples)]
    if len(model.shape) != 3:
        return [*files, write_array(folder / "traversals.npy", traversals)]

    def picture(name: str, images: Any, columns: int | None = None) -> Path:
        flat = torch.from_numpy(np.ascontiguousarray(images)).reshape(-1, *model.shape)
        return write_grid(folder / name, flat, columns=columns, value_range=model.displayed_range)

    files.append(picture("samples.png", samples[:SHOWN]))
    files.append(picture("interpolations.png", paths, STEPS))
    files.append(picture("traversals.png", traversals, STEPS))
    if model.latent_dim == 2:
        files.append(picture("plane.png", model.plane(PLANE, span=SPAN), PLANE))
    return files
