"""NumPy files (.npy, .npz) of tables or images, read into memory or memory-mapped.

Formats: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from isthmus.common.errors import BadInput, one_of
from isthmus.common.listing import some
from isthmus.core.scaling import Scaling
from isthmus.data.examples import locate
from isthmus.data.formats.array_file import ArrayFile
from isthmus.data.formats.array_layout import LAYOUTS, layout_of
from isthmus.data.formats.array_scan import scan
from isthmus.data.formats.labels import array_classes
from isthmus.data.formats.mapped_array import MappedArray
from isthmus.data.formats.npz import PackedArray, array_names
from isthmus.data.memory import ROW, check_room, fits_in_memory, take_rows
from isthmus.data.source import UNBOUNDED, Reading, Source, unscaled_note

ROUNDING = 1e-4  # of the range of the values: more is noticed
EXACT = 2**24  # largest whole numbers that float32 tells apart
USUAL_NAMES = ("x", "X", "x_train", "data", "images", "arr_0")  # of the data array in an .npz file


class Arrays(Source):
    """Examples (F,), (1, H, W) or (C, H, W); see `layout_of` for the accepted shapes and dtypes.

    uint8 is scaled from 0..255 to [0, 1]; booleans are stored as uint8 0 and 1, other numbers as float32. The
    fingerprint is the SHA-256 of dtype, shape and bytes of the array, and of the labels. The constructor
    reads the data once, in chunks, so that they may be larger than memory.

    Args:
        path: a .npy or .npz file, or an `example:` (see `examples.locate`).
        labels: another .npy file, or the name of an array in the .npz file, of integers or text; None for
            none.
        key: name of the array in an .npz file; None for its only one besides `labels`, or one of
            `USUAL_NAMES`.
        in_memory: True, False, or "auto": in memory if less than a quarter of the available memory is needed.
            Compressed arrays of an .npz are always read into memory.
        scaling: "standardize" gives every feature (every pixel of an image) mean 0 and variance 1 over the
            training rows, unless it is constant; "minmax" maps the lowest and the highest value of the whole
            array to 0 and 1; "none" leaves the values unchanged.
        layout: what the axes of the array are: NF, NHW, NCHW, NHWC, or "auto" (see `layout_of`).

    Raises:
        BadInput: a file is missing, empty, truncated or of another format, an array is missing or has an
            unsupported shape or dtype, a value is NaN or infinite.
    """

    def __init__(
        self,
        *,
        path: str | None,
        labels: str | None,
        key: str | None,
        in_memory: str | bool,
        scaling: str,
        layout: str = "auto",
    ) -> None:
        one_of("layout", layout, LAYOUTS)
        self.scaling_name = one_of("scaling", scaling, ("none", "standardize", "minmax"))
        # YAML reads data.key=0 as a number
        path, labels, key = (None if given is None else str(given) for given in (path, labels, key))
        if path is None or path == "???":
            raise BadInput("path", path, "give data.path=FILE.npy (or FILE.npz, or example:patches.npy)")
        self.file, labels_file = open_arrays(path, key=key, labels=labels)
        with as_bad_input("path", path):
            array = self.file.array
            self.layout = layout_of(array.shape, array.dtype, layout)
            self._wide = array.dtype.itemsize > torch.float32.itemsize
            self.shape, self.rows = self.layout.shape, len(array)
            held_shape = (self.rows, *self.shape)
            size = math.prod(held_shape) * self.layout.dtype.itemsize
            held = fits_in_memory(size, in_memory) or not self.file.mapped
            rest = array.held if isinstance(array, PackedArray) else 0
            rest += self.rows * ROW + (array.nbytes + size) // self.rows  # a chunk has at least one row
            check_room(rest + (size if held else 0), "the array")
            values = np.empty(held_shape, self.layout.dtype) if held else None
            self.reading = Reading.MEMORY if held else Reading.MAPPED
            found = scan(array, self.layout, into=values)
        self.values = None if values is None else torch.from_numpy(values)
        self.lowest, self.highest = found.lowest, found.highest
        ranges = {"standardize": UNBOUNDED, "minmax": (0.0, 1.0)}
        self.value_range = ranges.get(scaling, (self.lowest, self.highest))
        digest = hashlib.sha256(found.sha256.encode())
        if labels_file is not None:
            with as_bad_input("labels", str(labels)):
                self.labels, self.label_names = array_classes(labels_file.array, self.rows)
            digest.update(self.labels.numpy().data)
        self.fingerprint = digest.hexdigest()

    def __len__(self) -> int:
        return self.rows

    def take(self, rows: Tensor) -> Tensor:
        if self.values is not None:
            return take_rows(self.values, rows)
        array = self.file.array
        assert isinstance(array, MappedArray)
        return torch.from_numpy(self.layout.apply(array[rows.numpy()]))

    def remarks(self, train_rows: Tensor) -> list[tuple[str, str]]:
        return [*self._rounding(), *unscaled_note(self.value_range)]

    def _rounding(self) -> list[tuple[str, str]]:
        """A remark about numbers that float32 rounds by a noticeable part of their range."""
        size, width = max(abs(self.lowest), abs(self.highest)), self.highest - self.lowest
        step = size * 2.0**-23
        if not self._wide or not (step > ROUNDING * width or size > EXACT):
            return []
        fix = "subtract what all have in common, or read them with data=table"
        return [("note", f"values of this size are rounded to steps of {step:.2g}, as float32 does; {fix}")]

    def scaling(self, train_rows: Tensor) -> Scaling:
        if self.scaling_name == "none":
            return Scaling.unit(self.layout.unit)
        if self.scaling_name == "minmax":
            width = max(self.highest - self.lowest, float(np.finfo(np.float32).tiny))
            unit = self.layout.unit
            return Scaling(torch.tensor(unit / width), torch.tensor(self.lowest / unit))
        return self._standardize(train_rows)


def open_arrays(path: str, *, key: str | None, labels: str | None) -> tuple[ArrayFile, ArrayFile | None]:
    """The data array of a file, and the array of labels, or None; for the arguments see `Arrays`."""
    place = _checked("path", path, (".npy", ".npz"))
    with as_bad_input("path", path):
        names = array_names(place) if place.suffix.lower() == ".npz" else None
    file = ArrayFile(place, _choose(names, key, labels))
    return file, None if labels is None else _labels(place, names, labels)


def _checked(setting: str, path: str, suffixes: tuple[str, ...]) -> Path:
    """The existing file at `path`, whose suffix is one of `suffixes`."""
    place = locate(path, setting)
    with as_bad_input(setting, path):
        if place.is_dir():
            raise ValueError(f"is a folder; give a {' or '.join(suffixes)} file")
        if place.suffix.lower() not in suffixes:
            raise ValueError(f"must be a {' or '.join(suffixes)} file")
        if not place.exists():
            raise ValueError("there is no such file")
    return place


def _choose(names: list[str] | None, key: str | None, labels: str | None) -> str | None:
    """The name of the array in the .npz file; None for a .npy file."""
    if names is None:
        if key is not None:
            raise BadInput("key", key, "names an array of an .npz file; leave it null for a .npy file")
        return None
    if key is not None:
        if key not in names:
            raise BadInput("key", key, f"there is no such array; there are {some(names)}")
        return key
    data = [name for name in names if name != labels]
    usual = [name for name in USUAL_NAMES if name in data]
    if len(data) != 1 and not usual:
        raise BadInput("key", "null", f"say which array to take; there are {some(data)}")
    return data[0] if len(data) == 1 else usual[0]


def _labels(place: Path, names: list[str] | None, labels: str) -> ArrayFile:
    """The array of labels: one of `names` in the .npz file at `place`, or in a .npy file."""
    if names and labels in names:
        return ArrayFile(place, labels)
    if names and not labels.endswith(".npy"):
        raise BadInput("labels", labels, f"must be a .npy file or one of the arrays {some(names)}")
    return ArrayFile(_checked("labels", labels, (".npy",)))


@contextmanager
def as_bad_input(setting: str, value: str) -> Iterator[None]:
    """Convert errors of the file readers to `BadInput` for one setting."""
    try:
        yield
    except BadInput:
        raise
    except (ValueError, OSError) as error:
        raise BadInput(setting, value, " ".join(str(error).split())) from error
