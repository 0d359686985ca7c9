"""Denoises a file or a folder of images to another, of the same kind."""

from __future__ import annotations

import math
import os
import secrets
import shutil
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from isthmus.common.atomic_files import UNFINISHED
from isthmus.common.errors import BadInput, one_of
from isthmus.common.listing import some
from isthmus.common.progress import track
from isthmus.core.denoising.level import noise_level
from isthmus.data.encoded_images import CHOICES, SKIP_THEM, left_out
from isthmus.data.examples import locate
from isthmus.data.images import SUFFIXES, find_images
from isthmus.tasks.denoising.doubts import doubts
from isthmus.tasks.denoising.images import check_reads_images, denoise_image, read_image
from isthmus.tasks.inputs.arrays import ArrayExamples
from isthmus.tasks.inputs.examples import Examples
from isthmus.tasks.inputs.files import ARRAYS, broken_as
from isthmus.tasks.outputs.files import TABLES, array_writer, table_writer
from isthmus.tasks.outputs.places import check_free
from isthmus.tasks.trained_model import TrainedModel

PNG = ".png"
FEW = 5  # images, which take no longer than a few seconds
MOST_VALUES = 1 << 22  # of an array, whose noise is estimated


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
    given = dict(options or {})
    if place.is_dir():
        return _folder(model, place, data, output, overlap, given)
    if model.columns is None and place.suffix.lower() in SUFFIXES:
        _check_options(given)
        _check_suffix(output, (PNG,))
        check_free(output, overwrite=overwrite)
        if not place.exists():
            raise BadInput("INPUT", data, "there is no such file")
        check_reads_images(model)
        image = read_image(model, place, data)
        denoise_image(model, image, output, overlap=overlap)
        return Written(1, "images", _warnings(model, [noise_level(image.pixels[None])]))
    _check_suffix(output, ARRAYS if model.columns is None else TABLES)
    check_free(output, overwrite=overwrite)
    examples = model.open_file(data, options=given, noisy=True)
    levels = []
    if isinstance(examples, ArrayExamples):
        if len(examples.shape) == 3:
            levels = [noise_level(examples.take(0, max(1, MOST_VALUES // math.prod(examples.shape))))]
        with array_writer(output, tuple(examples.x.shape), examples.x.dtype) as write_rows:
            for rows in model.denoised(examples, overlap=overlap):
                write_rows(rows)
    else:
        _rows(model, examples, output)
    return Written(len(examples), "rows", [*examples.remarks, *_warnings(model, levels)])


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


def _folder(
    model: TrainedModel, folder: Path, data: str, output: Path, overlap: float, given: Mapping[str, Any]
) -> Written:
    """Write a folder of images."""
    _check_options(given)
    skip = one_of("data.broken", broken_as(model.accepted, given), CHOICES) == "skip"
    names, others = find_images(folder, data)
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
    levels: list[float | None] = []
    broken: dict[str, BadInput] = {}
    try:
        beside.mkdir()
        count = len(names)
        for target, (name,) in track(
            sources.items(), f"Denoising {count:,} images", of=count, long=count > FEW
        ):
            try:
                image = read_image(model, folder / name, name)
            except BadInput as error:
                broken[name] = error
                continue
            if broken and not skip:
                continue  # nothing will be written: only the other broken images are looked for
            levels.append(noise_level(image.pixels[None]))
            (beside / target).parent.mkdir(parents=True, exist_ok=True)
            denoise_image(model, image, beside / target, overlap=overlap)
        if broken and not (skip and levels):
            raise _unreadable(data, broken, others_are=len(names) > len(broken))
        os.replace(beside, output)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    said = [("skipped", f"{sum(others.values())} files, which are no images")] if others else []
    if broken:
        said.append(("skipped", left_out(list(broken))))
    return Written(len(levels), "images", [*said, *_warnings(model, levels)])


def _unreadable(data: str, broken: Mapping[str, BadInput], *, others_are: bool) -> BadInput:
    """The refusal of a folder with images that cannot be read."""
    skip = f"; {SKIP_THEM}" if others_are else ""
    if len(broken) == 1:
        (error,) = broken.values()
        return BadInput(error.key, error.value, f"{error.fix}{skip}")
    return BadInput("INPUT", data, f"{some(list(broken))} cannot be read; remove or replace them{skip}")


def _warnings(model: TrainedModel, levels: Sequence[float | None]) -> list[tuple[str, str]]:
    """Why the noise of the data may not be what the model removes; `levels` are those of images."""
    known = [level for level in levels if level is not None]
    level = statistics.median(known) if known else None
    return [("warning", said) for said in doubts(model.config["noise"], level)]


def _check_options(given: Mapping[str, Any]) -> None:
    """Raise `BadInput` for keys of the data that images of any size have no use for."""
    for key, value in given.items():
        if key != "broken":
            fix = "is not used: images keep their size and their channels; leave it out"
            raise BadInput(f"data.{key}", value, fix)


def _check_suffix(output: Path, suffixes: tuple[str, ...]) -> None:
    if output.suffix.lower() not in suffixes:
        raise BadInput("OUTPUT", output, f"must end in {' or '.join(suffixes)}, as INPUT is such data")
