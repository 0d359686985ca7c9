"""A folder of image files."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import Tensor

from isthmus.common.errors import BadInput
from isthmus.common.listing import some
from isthmus.data.encoded_images import EncodedImages
from isthmus.data.examples import locate
from isthmus.data.formats.image_file import Head, head_of
from isthmus.data.memory import check_room
from isthmus.data.source import PARTS, Grouping

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp", ".gif")


class Images(EncodedImages):
    """The images in a folder, sorted by name. Hidden files and folders (.name), and lost+found, are skipped.

    Attributes:
        names: path of each row's file relative to the folder, with forward slashes.
        skipped: number of files that are no images, by suffix.

    Args:
        path: the folder, searched recursively, or an `example:` (see `examples.locate`). If all files are in
            subfolders, the first level of these is the class; or, if these are called train, val or test,
            the first level is the part of the split, and the second the class.
        size: see `EncodedImages`, as for the other arguments.

    Raises:
        BadInput: there is no image, or one that cannot be used; see `EncodedImages`.
    """

    can_leave_out = True

    def __init__(
        self,
        *,
        path: str | None,
        size: int | Sequence[int] | None = None,
        resize: str = "stretch",
        channels: str | int = "auto",
        in_memory: str | bool = "auto",
        broken: str = "refuse",
    ) -> None:
        if path is None:
            fix = "give data.path=FOLDER, a folder of image files (or example:photos)"
            raise BadInput("path", path, fix)
        self.folder = locate(str(path))
        names, self.skipped = find_images(self.folder, str(path))
        super().__init__(
            str(path),
            names,
            size=size,
            resize=resize,
            channels=channels,
            in_memory=in_memory,
            broken=broken,
        )
        self.ids = self.names
        self.parts, self.labels, self.label_names = _parts_and_classes(self.names)

    def encoded(self, row: int) -> bytes:
        file = self.folder / self.names[row]
        check_room(file.stat().st_size, self.names[row])
        return file.read_bytes()

    def head(self, row: int) -> Head:
        return head_of(self.folder / self.names[row])

    def grouping(self) -> Grouping:
        return Grouping(parts=self.parts)

    def remarks(self, train_rows: Tensor) -> list[tuple[str, str]]:
        skipped = (
            [("skipped", f"{_counted(self.skipped)} files, which are no images that can be read")]
            if self.skipped
            else []
        )
        if self.labels is None and any("/" in name for name in self.names):
            stray = [name for name in self.names if "/" not in name]
            if stray:
                fix = f"the subfolders are no classes, as there are images beside them: {some(stray)}"
                skipped.append(("note", fix))
        return skipped + super().remarks(train_rows)

    def describe(self) -> dict[str, Any]:
        return {**super().describe(), "files": len(self.names), "skipped": self.skipped}


def find_images(folder: Path, path: str) -> tuple[list[str], dict[str, int]]:
    """Relative paths of the image files in `folder`, sorted, and the number of other files by suffix."""
    if not folder.is_dir():
        fix = "is a file; give the folder it is in" if folder.exists() else "there is no such folder"
        raise BadInput("path", path, fix)
    names, skipped = [], Counter[str]()
    try:
        for file in _visible_files(folder):
            if file.name.lower().endswith(SUFFIXES):
                names.append(file.relative_to(folder).as_posix())
            else:
                skipped[file.suffix.lower() or "no suffix"] += 1
    except OSError as error:
        # left out, it would change the data and the classes without a word
        fix = f"{error.filename} cannot be read ({error.strerror}); make it readable, or move it elsewhere"
        raise BadInput("path", path, fix) from error
    names.sort()
    if not names:
        there = f"; there are {_counted(skipped)}" if skipped else ""
        fix = f"there is no image in this folder{there}; it needs {', '.join(SUFFIXES)} files"
        raise BadInput("path", path, fix)
    return names, dict(skipped.most_common())


def _visible_files(folder: Path) -> Iterator[Path]:
    """Every file below `folder`, without those that file managers and disks hide.

    Raises:
        OSError: a folder cannot be listed, or a file in it not be looked up.
    """

    def refuse(error: OSError) -> NoReturn:
        raise error

    for parent, folders, files in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith(".") and name != "lost+found"]
        yield from (
            file for name in files if not name.startswith(".") and (file := Path(parent, name)).is_file()
        )


def _counted(skipped: Mapping[str, int]) -> str:
    return some([f"{count} {suffix}" for suffix, count in skipped.items()])


def _parts_and_classes(names: Sequence[str]) -> tuple[Tensor | None, Tensor | None, list[str] | None]:
    """The part of the split of each row, [N], or None; its class, [N], or None; the names of the classes."""
    folders = [name.split("/")[:-1] for name in names]
    first = {folder[0].lower() if folder else "" for folder in folders}
    parts = None
    if len(first) > 1 and first <= set(PARTS) and PARTS["train"] in {PARTS[name] for name in first}:
        parts = torch.tensor([PARTS[folder[0].lower()] for folder in folders], dtype=torch.int8)
        folders = [folder[1:] for folder in folders]
    if not all(folders):
        return parts, None, None
    classes = sorted({folder[0] for folder in folders})
    number = {name: index for index, name in enumerate(classes)}
    return parts, torch.tensor([number[folder[0]] for folder in folders]), classes
