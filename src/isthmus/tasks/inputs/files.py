"""Examples in files: tables, arrays, single images and folders of images."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from isthmus.common.errors import BadInput
from isthmus.data.arrays import as_bad_input, open_arrays
from isthmus.data.encoded_images import EncodedImages
from isthmus.data.examples import locate
from isthmus.data.formats.image_file import Head, head_of
from isthmus.data.formats.labels import array_classes
from isthmus.data.formats.npz import PackedArray
from isthmus.data.huggingface import HuggingFace, is_saved
from isthmus.data.images import SUFFIXES, Images
from isthmus.data.loading.keys import OPTIONAL_KEYS, REQUIRED_KEYS
from isthmus.data.memory import check_room
from isthmus.data.source import Source
from isthmus.data.table import Table
from isthmus.data.tables.treatment import for_new_rows
from isthmus.runs.config.allowlist import TARGET
from isthmus.runs.config.parts import part
from isthmus.tasks.inputs.arrays import ArrayExamples
from isthmus.tasks.inputs.examples import Accepted, Examples
from isthmus.tasks.inputs.sources import SourceExamples, TableExamples
from isthmus.tasks.inputs.tables import decoded

ARRAYS = (".npy", ".npz")
HUGGINGFACE = f"{HuggingFace.__module__}.{HuggingFace.__name__}"
OF_THE_SPLIT = ("val_path", "test_path", "split_column", "group_column", "time_column", "drop")


def file_examples(path: str, accepted: Accepted, *, options: Mapping[str, Any] | None = None) -> Examples:
    """The rows of a file, or the images of a folder.

    Args:
        path: of a table, an array or an image, or a folder of images; or an `example:`.
        accepted: by the model.
        options: how to read them, as the keys of `data` in a config; they replace those of training.

    Raises:
        BadInput: it cannot be read, or its shape is not that of training.
    """
    given = dict(options or {})
    place = locate(path, "DATA")
    if not place.exists() and not set("*?[") & set(path):
        raise BadInput("DATA", path, "there is no such file or folder")
    if accepted.record is not None:
        restore = partial(decoded, accepted.record.preparation)
        return TableExamples(_table(path, place, accepted, given), accepted, restore=restore)
    if place.suffix.lower() in ARRAYS:
        return _array(path, accepted, given)
    if accepted.is_image:
        return SourceExamples(_images(path, place, accepted, given), accepted)
    fix = f"the model was trained on an array, {list(accepted.shape)}; give a {' or '.join(ARRAYS)} file"
    raise BadInput("DATA", path, fix)


class ImageFiles(EncodedImages):
    """Some image files; see `EncodedImages`.

    Args:
        files: their paths, which are the names of the rows.
        options: see `EncodedImages`.
    """

    def __init__(self, files: Sequence[Path], **options: Any) -> None:
        self.files = files
        super().__init__("", [str(file) for file in files], **options)
        self.ids = self.names

    def encoded(self, row: int) -> bytes:
        check_room(self.files[row].stat().st_size, self.names[row])
        return self.files[row].read_bytes()

    def head(self, row: int) -> Head:
        return head_of(self.files[row])


def image_file_examples(files: Sequence[str | Path], accepted: Accepted) -> Examples:
    """The images in files, in the given order.

    Raises:
        BadInput: there is none, or one that cannot be read; or the model was not trained on images.
    """
    if not accepted.is_image:
        raise BadInput("x", "paths", "the model was not trained on images; give one path, or a table")
    places = [locate(str(file), "x") for file in files]
    if not places:
        raise BadInput("x", "[]", "is empty; give at least one path")
    if absent := [place for place in places if not place.is_file()]:
        raise BadInput("x", absent[0], "there is no such file")
    return SourceExamples(ImageFiles(places, **_image_options(accepted, {})), accepted)


def _image_options(accepted: Accepted, given: Mapping[str, Any]) -> dict[str, Any]:
    channels, height, width = accepted.shape
    if channels not in (1, 3):
        raise BadInput("DATA", "images", f"the model was trained on {channels} channels; give a .npy file")
    resize = given.get("resize", accepted.data.get("resize", "stretch"))
    size = given.get("size", [height, width])
    return {"size": size, "channels": channels, "resize": resize, "in_memory": given.get("in_memory", "auto")}


def broken_as(accepted: Accepted, given: Mapping[str, Any]) -> Any:
    """What is done about broken images of a folder: as typed, or else as in training; see `Images`."""
    return given.get("broken", accepted.data.get("broken", "refuse"))


def _images(path: str, place: Path, accepted: Accepted, given: Mapping[str, Any]) -> Source:
    if is_saved(place):
        keys = {
            "path": path,
            **_image_options(accepted, given),
            "label": given.get("label", accepted.data.get("label")),
        }
        return part("data", {TARGET: HUGGINGFACE, **keys}, Source)
    if place.is_dir():
        return Images(path=path, **_image_options(accepted, given), broken=broken_as(accepted, given))
    if place.suffix.lower() not in SUFFIXES:
        fix = f"must be a folder of images, an image ({', '.join(SUFFIXES)}) or an array (.npy, .npz)"
        raise BadInput("DATA", path, fix)
    return ImageFiles([place], **_image_options(accepted, given))


def _array(path: str, accepted: Accepted, given: Mapping[str, Any]) -> Examples:
    key, labels = (None if given.get(name) is None else str(given[name]) for name in ("key", "labels"))
    file, labels_file = open_arrays(path, key=key, labels=labels)
    with as_bad_input("path", path):
        array = file.array
        if isinstance(array, PackedArray):
            check_room(array.held + array.nbytes, "the array")
            (array,) = array.blocks(max(1, len(array)))
    examples = ArrayExamples(array, accepted)
    if labels_file is not None:
        with as_bad_input("labels", str(labels)):
            examples.labels, examples.label_names = array_classes(labels_file.array, len(examples))
    return examples


def _table(path: str, place: Path, accepted: Accepted, given: Mapping[str, Any]) -> Source:
    """The table at a path, read by the keys of training, which those given replace."""
    assert accepted.record is not None
    others = (*REQUIRED_KEYS, *OPTIONAL_KEYS, *OF_THE_SPLIT)
    own = {key: value for key, value in for_new_rows(accepted.data).items() if key not in others}
    # a model of a data set of Hugging Face reads files, too, and one of files such a data set
    of_dataset = own[TARGET] == HUGGINGFACE
    if of_dataset != (is_saved(place) or (of_dataset and place.is_dir())):
        reader: Any = Table if of_dataset else HuggingFace
        known = inspect.signature(reader).parameters
        own = {key: value for key, value in own.items() if key in known}
        own[TARGET] = f"{reader.__module__}.{reader.__name__}"
    for key, value in given.items():
        before = own.get(key)
        if isinstance(before, dict) and isinstance(value, dict):  # such as data.csv
            value = {**before, **value}
        own[key] = value
    return part("data", {**own, "path": path}, Source, prepared=accepted.record.plain())
