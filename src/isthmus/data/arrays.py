"""Arrays in NumPy files, .npy or .npz: tables and images, held in memory or mapped.

The formats: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
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
from isthmus.core.scaling import Scaling
from isthmus.data.examples import locate
from isthmus.data.formats.array_file import ArrayFile
from isthmus.data.formats.array_labels import classes_of
from isthmus.data.formats.array_layout import layout_of
from isthmus.data.formats.array_scan import chunks, scan
from isthmus.data.formats.mapped_array import MappedArray
from isthmus.data.formats.npz import PackedArray, array_names
from isthmus.data.listing import some
from isthmus.data.memory import ROW, check_room, fits_in_memory, take_rows
from isthmus.data.source import UNBOUNDED, Reading, Source

USUAL_NAMES = ("x", "X", "x_train", "data", "images", "arr_0")  # of the data in an .npz file


class Arrays(Source):
    """Rows (F,), (1, H, W) or (C, H, W); see `layout_of` for the shapes and types of array.

    Bytes stay uint8 and mean 0 to 1 in steps of 1/255, booleans stay uint8 and mean 0 and 1, all other
    numbers are given as float32. The fingerprint is the SHA-256 of the array's type, shape and bytes, and of
    the labels. The data are read once here, in chunks, however large the file is.

    Args:
        path: a .npy or .npz file, or an `example:` (see `examples.locate`).
        labels: a second .npy file, or the name of an array in the .npz file: whole numbers or text. None for
            none.
        key: the array of an .npz file; None for its only one (but `labels`) or one of `USUAL_NAMES`.
        in_memory: True, False, or "auto" for what takes less than a quarter of the available memory. Arrays
            that are compressed inside an .npz are always held in memory.
        scaling: "standardize" gives every feature (every pixel of an image) mean 0 and variance 1 over the
            training rows, where it is not constant; "none" leaves the values as they are.

    Raises:
        BadInput: a file is missing, empty, truncated or of another kind, an array is not there or has an
            unusable shape or type, a value is NaN or infinite.
    """

    def __init__(
        self, *, path: str | None, labels: str | None, key: str | None, in_memory: str | bool, scaling: str
    ) -> None:
        self.scaling_name = one_of("scaling", scaling, ("none", "standardize"))
        # YAML reads data.key=0 as a number
        path, labels, key = (None if given is None else str(given) for given in (path, labels, key))
        if path is None or path == "???":
            raise BadInput("path", path, "give data.path=FILE.npy (or FILE.npz, or example:patches.npy)")
        place = _checked("path", path, (".npy", ".npz"))
        with _refusing("path", path):
            names = array_names(place) if place.suffix.lower() == ".npz" else None
        self.file = ArrayFile(place, _choose(names, key, labels))
        with _refusing("path", path):
            array = self.file.array
            self.layout = layout_of(array.shape, array.dtype)
            self.shape, self.rows = self.layout.shape, len(array)
            held_shape = (self.rows, *self.shape)
            size = math.prod(held_shape) * self.layout.dtype.itemsize
            held = fits_in_memory(size, in_memory) or not self.file.mapped
            rest = array.held if isinstance(array, PackedArray) else 0
            rest += self.rows * ROW + (array.nbytes + size) // self.rows  # a part has at least one row
            check_room(rest + (size if held else 0), "the array")
            values = np.empty(held_shape, self.layout.dtype) if held else None
            self.reading = Reading.MEMORY if held else Reading.MAPPED
            found = scan(array, self.layout, into=values)
        self.values = None if values is None else torch.from_numpy(values)
        self.value_range = UNBOUNDED if scaling == "standardize" else (found.lowest, found.highest)
        digest = hashlib.sha256(found.sha256.encode())
        if labels is not None:
            with _refusing("labels", labels):
                self.labels, self.label_names = classes_of(_labels(place, names, labels).array, self.rows)
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

    def scaling(self, train_rows: Tensor) -> Scaling:
        if self.scaling_name == "none":
            return Scaling.unit(self.layout.unit)
        # scikit-learn takes a second to import: only when it is needed
        from sklearn.preprocessing import StandardScaler

        scaler = StandardScaler()
        features = int(np.prod(self.shape))
        for part in chunks(len(train_rows), features * np.dtype(np.float64).itemsize):
            scaler.partial_fit(self.take(train_rows[part]).flatten(1).double().numpy())
        # below `tiny` 1 / std overflows; scikit-learn has put 1 for what is constant
        std = np.where(scaler.scale_ < np.finfo(np.float32).tiny, 1.0, scaler.scale_)
        scale, mean = torch.from_numpy(1 / std), torch.from_numpy(scaler.mean_)
        return Scaling(scale.reshape(self.shape), mean.reshape(self.shape))


def _checked(setting: str, path: str, suffixes: tuple[str, ...]) -> Path:
    """The file at `path`, which is there and is called as it should be."""
    place = locate(path, setting)
    with _refusing(setting, path):
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
    """The array of labels: one of `names` in the .npz file at `place`, or a file of its own."""
    if names and labels in names:
        return ArrayFile(place, labels)
    if names and not labels.endswith(".npy"):
        raise BadInput("labels", labels, f"must be a .npy file or one of the arrays {some(names)}")
    return ArrayFile(_checked("labels", labels, (".npy",)))


@contextmanager
def _refusing(setting: str, value: str) -> Iterator[None]:
    """Turns what the readers of files raise into `BadInput` for one setting."""
    try:
        yield
    except BadInput:
        raise
    except (ValueError, OSError) as error:
        raise BadInput(setting, value, " ".join(str(error).split())) from error
