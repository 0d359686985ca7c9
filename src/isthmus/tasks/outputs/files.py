"""Writes arrays, tables and pictures atomically."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
import torch
from numpy.lib import format as npy_format
from torch import Tensor

from isthmus.common.atomic_files import UNFINISHED, discard_empty, replacing
from isthmus.tasks.outputs.places import made
from isthmus.training.writers.image_grid import image_grid, save_png

if TYPE_CHECKING:
    import pyarrow as pa

TABLES = (".csv", ".parquet")


@contextmanager
def making(folder: Path) -> Iterator[Path]:
    """Make a folder and its parents; those that were missing are removed at the end if they are empty."""
    absent = [each for each in (folder, *folder.parents) if not each.exists()]
    try:
        yield made(folder)
    finally:
        discard_empty(*absent)


@contextmanager
def moving_into(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder, whose files are moved to `folder` on success; if not, nothing is left."""
    with (
        making(folder),
        TemporaryDirectory(prefix=".", suffix=UNFINISHED, dir=folder) as beside,
    ):
        yield Path(beside)
        for file in sorted(Path(beside).iterdir()):
            os.replace(file, folder / file.name)


def write_array(path: Path, array: np.ndarray) -> Path:
    """Write a .npy file."""
    with replacing(path) as beside, beside.open("wb") as file:
        np.save(file, array)
    return path


def write_csv(path: Path, table: pa.Table) -> Path:
    """Write a .csv file."""
    from pyarrow import csv

    with replacing(path) as beside:
        csv.write_csv(table, beside)
    return path


@contextmanager
def table_writer(path: Path) -> Iterator[Callable[[pa.Table], None]]:
    """A function that writes tables one below the other to a .csv or .parquet file, which is atomic."""
    from pyarrow import csv, parquet

    make: Any = parquet.ParquetWriter if path.suffix.lower() == ".parquet" else csv.CSVWriter
    with replacing(path) as beside, ExitStack() as stack:
        file: Any = None

        def write(table: pa.Table) -> None:
            nonlocal file
            if file is None:
                file = stack.enter_context(make(beside, table.schema))
            file.write_table(table)

        yield write


def label_column(labels: Tensor, names: list[str] | None) -> Any:
    """The names of the classes of rows, or their numbers if they have no names. Shape: [N]."""
    import pyarrow as pa

    return labels.numpy() if names is None else pa.array(names).take(pa.array(labels.numpy()))


@contextmanager
def array_writer(
    path: Path, shape: tuple[int, ...], dtype: np.dtype
) -> Iterator[Callable[[np.ndarray], None]]:
    """A function that writes the rows of an array in order to a .npy file, or as ``x`` to an .npz file.

    The file appears at the end, and the array is never in memory.

    Args:
        path: see above.
        shape: of the array.
        dtype: of the array.
    """
    with replacing(path) as beside, ExitStack() as stack:
        if path.suffix.lower() == ".npz":
            archive = stack.enter_context(ZipFile(beside, "w", ZIP_DEFLATED))
            file: Any = stack.enter_context(archive.open("x.npy", "w", force_zip64=True))
        else:
            file = stack.enter_context(beside.open("wb"))
        header = {"descr": npy_format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
        npy_format.write_array_header_2_0(file, header)
        yield lambda rows: file.write(np.ascontiguousarray(rows, dtype).data.cast("B")) and None


def write_grid(
    path: Path,
    images: Tensor,
    *,
    columns: int | None = None,
    value_range: tuple[float, float] = (0.0, 1.0),
    title: str = "",
    names: Sequence[str] = (),
) -> Path:
    """Write images as one picture, row by row. Shape: [N, C, H, W].

    Args:
        path: a .png file.
        images: see above.
        columns: images in a row; None for about as many as there are rows.
        value_range: the values shown as black and white.
        title: above the images; "" for none.
        names: of the rows; empty for none.
    """
    width = columns or math.ceil(math.sqrt(len(images)))
    absent = -len(images) % width
    if absent:
        blank = torch.full((absent, *images.shape[1:]), value_range[1])
        images = torch.cat([images, blank])
    grid = image_grid(images.split(width), value_range=value_range, title=title, names=names)
    save_png(grid, path)
    return path
