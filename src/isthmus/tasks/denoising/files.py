"""Denoises a file or a folder of images to another, of the same kind."""

from __future__ import annotations

import os
import secrets
import shutil
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from isthmus.common.atomic_files import UNFINISHED
from isthmus.common.errors import BadInput
from isthmus.common.listing import some
from isthmus.data.examples import locate
from isthmus.data.images import SUFFIXES, find_images
from isthmus.tasks.denoising.images import check_reads_images, denoise_image
from isthmus.tasks.inputs.arrays import ArrayExamples
from isthmus.tasks.inputs.examples import Examples
from isthmus.tasks.inputs.files import ARRAYS
from isthmus.tasks.outputs.files import TABLES, array_writer, table_writer
from isthmus.tasks.outputs.places import check_free
from isthmus.tasks.trained_model import TrainedModel

PNG = ".png"


class Written(NamedTuple):
    """What `denoise_file` has written.

    Attributes:
        examples: number of examples.
        what: what they are: rows or images.
        remarks: how the data were read: (what, sentence).
    """

    examples: int
    what: str
    remarks: list[tuple[str, str]]


def denoise_file(
    model: TrainedModel,
    data: str,
    output: Path,
    *,
    overlap: float = 0.5,
    overwrite: bool = False,
    options: Mapping[str, Any] | None = None,
) -> Written:
    """Denoise a file or a folder.

    An array (.npy, .npz) becomes an array of the same shape and type; a table a table (.csv, .parquet) with
    the columns of training and, if it has one, that of the ids (a row with a missing cell that the model does
    not know what to do with is empty but for its id); an image a .png file; a folder of images a
    folder of .png files of the same names, in the same subfolders. All are written in order and appear when
    they are complete. Rows are read and written batch by batch, so that files may be larger than memory.

    Args:
        model: the trained model.
        data: the file or folder, or an `example:`.
        output: the file or folder to write.
        overlap: see `TrainedModel.denoise`.
        overwrite: whether an existing file may be replaced; a folder never is.
        options: how to read the data, as the keys of `data` in a config.

    Raises:
        BadInput: the data cannot be read, or the output not be written.
    """
    place = locate(data, "INPUT")
    if place.is_dir():
        return _folder(model, place, data, output, overlap)
    if model.columns is None and place.suffix.lower() in SUFFIXES:
        _check_suffix(output, (PNG,))
        check_free(output, overwrite=overwrite)
        if not place.exists():
            raise BadInput("INPUT", data, "there is no such file")
        check_reads_images(model)
        denoise_image(model, place, output, data, overlap=overlap)
        return Written(1, "images", [])
    _check_suffix(output, ARRAYS if model.columns is None else TABLES)
    check_free(output, overwrite=overwrite)
    examples = model.open_file(data, options=options, noisy=True)
    if isinstance(examples, ArrayExamples):
        with array_writer(output, tuple(examples.x.shape), examples.x.dtype) as write_rows:
            for rows in model.denoised(examples, overlap=overlap):
                write_rows(rows)
    else:
        _rows(model, examples, output)
    return Written(len(examples), "rows", list(examples.remarks))


def _rows(model: TrainedModel, examples: Examples, output: Path) -> None:
    """Write the rows of a table."""
    import pyarrow as pa

    name = model.config["data"].get("id")
    start = 0
    with table_writer(output) as write:
        for table in model.denoised(examples):
            stop = start + table.num_rows
            if examples.names is not None and name is not None and name not in table.column_names:
                ids = pa.array([str(examples.names[row]) for row in range(start, stop)])
                table = table.add_column(0, name, ids)
            write(table)
            start = stop


def _folder(model: TrainedModel, folder: Path, data: str, output: Path, overlap: float) -> Written:
    """Write a folder of images."""
    names, skipped = find_images(folder, data)
    check_reads_images(model)
    if output.exists() and not (output.is_dir() and not any(output.iterdir())):
        raise BadInput("OUTPUT", output, "exists, and nothing is overwritten; give a new folder")
    if not output.absolute().parent.is_dir():
        raise BadInput("OUTPUT", output, f"there is no folder {output.parent}; make it first")
    sources = defaultdict(list)
    for name in names:
        sources[Path(name).with_suffix(PNG)].append(name)
    if twice := [both for both in sources.values() if len(both) > 1]:
        fix = f"{some(twice[0])} would have the same name as {PNG}; rename one of them"
        raise BadInput("INPUT", data, fix)
    beside = output.with_name(f".{output.name}.{secrets.token_hex(8)}{UNFINISHED}")
    try:
        beside.mkdir()
        for target, (name,) in sources.items():
            (beside / target).parent.mkdir(parents=True, exist_ok=True)
            denoise_image(model, folder / name, beside / target, name, overlap=overlap)
        os.replace(beside, output)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    said = [("skipped", f"{sum(skipped.values())} files, which are no images")] if skipped else []
    return Written(len(names), "images", said)


def _check_suffix(output: Path, suffixes: tuple[str, ...]) -> None:
    if output.suffix.lower() not in suffixes:
        raise BadInput("OUTPUT", output, f"must end in {' or '.join(suffixes)}, as INPUT is such data")
