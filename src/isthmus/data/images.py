"""A folder of PNG and JPEG files, decoded with Pillow: once into memory, or for each batch."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from isthmus.common.errors import BadInput, check_int
from isthmus.core.scaling import Scaling
from isthmus.data.examples import locate
from isthmus.data.formats.image_file import MOST_PIXELS, PIXEL, UNREADABLE, Head, TooLarge, decode, head_of
from isthmus.data.memory import SHARE, available_memory, fits_in_memory, take_rows
from isthmus.data.source import Reading, Source

SUFFIXES = (".png", ".jpg", ".jpeg")
UNIT = 1 / 255


class Images(Source):
    """Images [C, H, W], uint8, scaled to [0, 1], sorted by name.

    The constructor decodes every file once to check it. Hidden files and folders (.name) are skipped. The
    fingerprint is the SHA-256 of the shape, the names and the files' bytes.

    Attributes:
        names: path of each row's file relative to the folder, with forward slashes.

    Args:
        path: the folder, searched recursively, or an `example:` (see `examples.locate`). If all files are in
            subfolders, the first level of these is the class.
        size: height and width in pixels, or one number for both, to which every image is resized regardless
            of its aspect ratio. None for the size of the first image, which all others must have.
        channels: 1 for grey, 3 for colour, "auto" for grey if every file is stored as grey.
        in_memory: True keeps all decoded images in memory, False decodes each batch; "auto" keeps them if
            they take less than a quarter of the available memory.

    Raises:
        BadInput: there is no image, or one that is truncated, of another size, or above 64 megapixels.
    """

    def __init__(
        self,
        *,
        path: str | None,
        size: int | Sequence[int] | None = None,
        channels: str | int = "auto",
        in_memory: str | bool = "auto",
    ) -> None:
        if path is None:
            raise BadInput(
                "path", path, "give data.path=FOLDER, a folder of PNG or JPEG files (or example:photos)"
            )
        self.path = str(path)
        self.size = _height_and_width(size)
        if isinstance(channels, bool) or channels not in ("auto", 1, 3):
            raise BadInput("channels", channels, "must be one of auto, 1, 3")
        self.folder = locate(self.path)
        self.names = _find(self.folder, self.path)
        grey, pixels = self._heads()
        self.channels = int(channels) if channels != "auto" else 1 if grey else 3
        self.shape = (self.channels, *(self.size or self._first_size()))
        self.value_range = (0.0, 1.0)
        self.labels, self.label_names = _classes(self.names)
        decoding = (pixels + math.prod(self.shape)) * PIXEL
        count = len(self.names) * math.prod(self.shape)
        held = fits_in_memory(count, in_memory)
        self.values = torch.empty((len(self), *self.shape), dtype=torch.uint8) if held else None
        self.reading = Reading.MEMORY if held else Reading.DECODED
        self.fingerprint = self._read_all(available_memory() // SHARE // decoding)

    def __len__(self) -> int:
        return len(self.names)

    def take(self, rows: Tensor) -> Tensor:
        if self.values is not None:
            return take_rows(self.values, rows)
        images = torch.empty((len(rows), *self.shape), dtype=torch.uint8)
        for place, row in enumerate(rows.tolist()):
            images[place] = self._decode((self.folder / self.names[row]).read_bytes())
        return images

    def scaling(self, train_rows: Tensor) -> Scaling:
        return Scaling.unit(UNIT)

    def describe(self) -> dict[str, Any]:
        own = {"files": len(self.names), "size": list(self.shape[1:]), "channels": self.channels}
        return {**super().describe(), **own}

    def _heads(self) -> Head:
        """Read all headers: whether all files are grey, and the pixels of the largest."""
        heads, bad = [], []
        for name in self.names:
            try:
                heads.append(head_of(self.folder / name))
            except TooLarge as error:
                limit = MOST_PIXELS // 10**6
                fix = f"{name} has more than {limit} megapixels; make it smaller or remove it"
                raise BadInput("path", self.path, fix) from error
            except UNREADABLE:
                bad.append(name)
        if bad:
            raise self._unreadable(bad)
        return Head(all(head.grey for head in heads), max(head.pixels for head in heads))

    def _first_size(self) -> tuple[int, ...]:
        for name in self.names:
            try:
                return tuple(self._decode((self.folder / name).read_bytes()).shape[1:])
            except UNREADABLE:
                continue  # `_read_all` counts the unreadable files for the message
        raise self._unreadable(self.names)

    def _read_all(self, threads: int) -> str:
        """Decode every file, fill `values` if data are kept in memory, and return the fingerprint."""
        with ThreadPoolExecutor(max(1, min(16, os.cpu_count() or 1, threads))) as pool:
            digests = list(pool.map(self._read, range(len(self))))
        if bad := [name for name, digest in zip(self.names, digests, strict=True) if digest is None]:
            raise self._unreadable(bad)
        whole_digest = hashlib.sha256(repr(self.shape).encode())
        for name, digest in zip(self.names, digests, strict=True):
            whole_digest.update(hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest())
            whole_digest.update(digest or b"")
        return whole_digest.hexdigest()

    def _read(self, row: int) -> bytes | None:
        """SHA-256 of a file, or None if it cannot be decoded."""
        try:
            content = (self.folder / self.names[row]).read_bytes()
            image = self._decode(content)
        except UNREADABLE:
            return None
        if image.shape != self.shape:
            (height, width), (first_height, first_width) = image.shape[1:], self.shape[1:]
            fix = (
                f"{self.names[row]} has {height} x {width} pixels and the first image "
                f"{first_height} x {first_width}; give one size for all: "
                f"data.size={first_height} or 'data.size=[{first_height},{first_width}]'"
            )
            raise BadInput("size", self.size, fix)
        if self.values is not None:
            self.values[row] = image
        return hashlib.sha256(content).digest()

    def _decode(self, content: bytes) -> Tensor:
        return decode(content, channels=self.channels, size=self.size)

    def _unreadable(self, bad: list[str]) -> BadInput:
        fix = f"{bad[0]} cannot be read as an image; remove or replace it"
        if len(bad) > 1:
            fix = f"{bad[0]} and {len(bad) - 1} more cannot be read as images; remove or replace them"
        return BadInput("path", self.path, fix)


def _height_and_width(size: int | Sequence[int] | None) -> tuple[int, int] | None:
    if size is None:
        return None
    sides = size if isinstance(size, Sequence) and not isinstance(size, str) else (size, size)
    if len(sides) != 2:
        raise BadInput("size", size, "must be one number of pixels, or [height,width]")
    height, width = (check_int("size", side) for side in sides)
    if height * width > MOST_PIXELS:
        raise BadInput("size", size, f"must not be above {MOST_PIXELS // 10**6} megapixels")
    return height, width


def _find(folder: Path, path: str) -> list[str]:
    """Relative paths of the image files in `folder`, sorted."""
    if not folder.is_dir():
        fix = "is a file; give the folder it is in" if folder.exists() else "there is no such folder"
        raise BadInput("path", path, fix)
    names = []
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            file = Path(parent, name)
            if name.lower().endswith(SUFFIXES) and not name.startswith(".") and file.is_file():
                names.append(file.relative_to(folder).as_posix())
    names.sort()
    if not names:
        raise BadInput(
            "path", path, f"there is no image in this folder; it needs {', '.join(SUFFIXES)} files"
        )
    return names


def _classes(names: list[str]) -> tuple[Tensor | None, list[str] | None]:
    """The class of each row, [N], and the names of the classes."""
    if any("/" not in name for name in names):
        return None, None
    folders = [name.split("/", 1)[0] for name in names]
    classes = sorted(set(folders))
    number = {name: index for index, name in enumerate(classes)}
    return torch.tensor([number[folder] for folder in folders]), classes
