"""Encoded images, decoded with Pillow: once into memory, or for each batch."""

from __future__ import annotations

import hashlib
import io
import math
import os
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor

from isthmus.common.errors import BadInput, check_int, one_of
from isthmus.common.listing import some
from isthmus.core.scaling import Scaling
from isthmus.data.formats.image_file import (
    MOST_PIXELS,
    PIXEL,
    RESIZINGS,
    UNREADABLE,
    Head,
    TooLarge,
    decode,
    head_of,
)
from isthmus.data.memory import SHARE, NoRoom, available_memory, fits_in_memory, take_rows
from isthmus.data.source import Reading, Source

DEPTHS = (8, 10, 12, 14, 16)  # bits that a pixel can have
CHOICES = ("refuse", "skip")  # for images that cannot be used
SKIP_THEM = "data.broken=skip leaves out such images"


class EncodedImages(Source):
    """Images [C, H, W], scaled to [0, 1].

    Stored as uint8, or as float32 if there are images of 16 bits per pixel. The constructor decodes every
    image once to check it. The fingerprint is the SHA-256 of the shape, the names and the encoded images.

    Attributes:
        names: of each row, for messages.
        left_out: the names of those that cannot be used, with broken="skip".
        bits: per pixel: 8, or the fewest from 10 to 16 that hold the largest value.
        can_leave_out: whether a subclass has `broken`: then its `encoded` finds an image by its name.

    Args:
        path: where the images are from, for messages.
        names: see above.
        size: height and width in pixels, or one number for both, to which every image is resized. None for
            the size of the first image, which all others must have.
        resize: how an image of another aspect ratio is resized: "stretch", "crop" its middle, or "pad" it
            with black.
        channels: 1 for grey, 3 for colour, "auto" for grey if every image is stored as grey.
        in_memory: True keeps all decoded images in memory, False decodes each batch; "auto" keeps them if
            they take less than a quarter of the available memory.
        broken: what is done about images that are truncated, no images, or above 64 megapixels: "refuse" the
            data, or "skip" these images.

    Raises:
        BadInput: an image is of another size, or cannot be used; or none can.
    """

    can_leave_out = False

    def __init__(
        self,
        path: str,
        names: Sequence[str],
        *,
        size: int | Sequence[int] | None,
        resize: str,
        channels: str | int,
        in_memory: str | bool,
        broken: str = "refuse",
    ) -> None:
        self.path, self.names = path, list(names)
        self.size = _height_and_width(size)
        self.resize = one_of("resize", resize, RESIZINGS)
        if isinstance(channels, bool) or channels not in ("auto", 1, 3):
            raise BadInput("channels", channels, "must be one of auto, 1, 3")
        one_of("broken", broken, CHOICES)
        self.left_out: list[str] = []
        self._too_large: dict[str, int] = {}  # limit in pixels, by name
        heads = self._keep(self._heads())
        self.deep, self.channels = _format(heads, channels)
        digests = self._read_all(heads, in_memory)
        heads = self._keep([head if digest else None for head, digest in zip(heads, digests, strict=True)])
        left_out = set(self.left_out)
        self.left_out = [name for name in names if name in left_out]
        if self.left_out and (broken == "refuse" or not heads):
            raise self._unusable(some_are_left=bool(heads))
        if (whole := _format(heads, channels)) != (self.deep, self.channels):  # a truncated image decided
            self.deep, self.channels = whole
            digests = self._read_all(heads, in_memory)
        self._transparent = sum(head.transparent for head in heads)
        self._several = sum(head.several for head in heads)
        self.value_range = (0.0, 1.0)
        self.fingerprint = self._hashed(filter(None, digests))
        self.bits = next(bits for bits in DEPTHS if self._largest < 1 << bits) if self.deep else 8

    @abstractmethod
    def encoded(self, row: int) -> bytes:
        """The content of an image file."""

    def __len__(self) -> int:
        return len(self.names)

    def take(self, rows: Tensor) -> Tensor:
        if self.values is not None:
            return take_rows(self.values, rows)
        images = torch.empty((len(rows), *self.shape), dtype=torch.float32 if self.deep else torch.uint8)
        for place, row in enumerate(rows.tolist()):
            images[place] = self._decode(self.encoded(row))
        return images

    def scaling(self, train_rows: Tensor) -> Scaling:
        return Scaling.unit(1 / ((1 << self.bits) - 1))

    def head(self, row: int) -> Head:
        """What the header of an image says; see `image_file.head_of`."""
        return head_of(io.BytesIO(self.encoded(row)))

    def remarks(self, train_rows: Tensor) -> list[tuple[str, str]]:
        said = []
        if self.left_out:
            said.append(("skipped", left_out(self.left_out)))
        if self.bits > 8:
            most = (1 << self.bits) - 1
            said.append(("pixels", f"of 16 bits, of which {self.bits} are used: 0 to {most:,} become 0 to 1"))
        if self._transparent:
            said.append(("note", f"transparency is ignored, in {self._transparent:,} images"))
        if self._several:
            said.append(
                ("note", f"only the first frame or page is used, of {self._several:,} images that have more")
            )
        return said

    def describe(self) -> dict[str, Any]:
        own = {
            "size": list(self.shape[1:]),
            "channels": self.channels,
            "bits": self.bits,
            "left_out": len(self.left_out),
        }
        return {**super().describe(), **own}

    def _heads(self) -> list[Head | None]:
        """Read all headers; None for those that cannot be read, or of too many pixels."""
        heads: list[Head | None] = []
        for row, name in enumerate(self.names):
            try:
                heads.append(self.head(row))
            except TooLarge as error:
                self._too_large[name] = error.limit
                heads.append(None)
            except NoRoom as error:
                raise BadInput("path", self.path, f"{name}: {error}") from error
            except UNREADABLE:
                heads.append(None)
        return heads

    def _keep(self, heads: Sequence[Head | None]) -> list[Head]:
        """Leave out the images without a head; returns the other heads."""
        kept = [row for row, head in enumerate(heads) if head is not None]
        self.left_out += [name for name, head in zip(self.names, heads, strict=True) if head is None]
        if len(kept) < len(heads):
            self.names = [self.names[row] for row in kept]
            if self.values is not None:
                self.values = self.values[kept]
        return [head for head in heads if head is not None]

    def _first_size(self) -> tuple[int, ...] | None:
        for row in range(len(self)):
            try:
                return tuple(self._decode(self.encoded(row)).shape[1:])
            except UNREADABLE:
                continue
        return None

    def _read_all(self, heads: Sequence[Head], in_memory: str | bool) -> list[bytes | None]:
        """Decode every image, and fill `values` if they are kept in memory; see `_read`."""
        size = self.size or self._first_size()
        if size is None or not heads:
            return [None] * len(heads)
        self.shape = (self.channels, *size)
        dtype = torch.float32 if self.deep else torch.uint8
        held = fits_in_memory(len(self) * math.prod(self.shape) * dtype.itemsize, in_memory)
        self.values = torch.empty((len(self), *self.shape), dtype=dtype) if held else None
        self.reading = Reading.MEMORY if held else Reading.DECODED
        self._largest = 0.0
        decoding = (max(head.pixels for head in heads) + math.prod(self.shape)) * PIXEL
        threads = available_memory() // SHARE // decoding
        with ThreadPoolExecutor(max(1, min(16, os.cpu_count() or 1, threads))) as pool:
            return list(pool.map(self._read, range(len(self))))

    def _hashed(self, digests: Iterable[bytes]) -> str:
        """The fingerprint, from the SHA-256 of each file."""
        whole_digest = hashlib.sha256(repr(self.shape).encode())
        for name, digest in zip(self.names, digests, strict=True):
            whole_digest.update(hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest())
            whole_digest.update(digest)
        return whole_digest.hexdigest()

    def _read(self, row: int) -> bytes | None:
        """SHA-256 of a file, or None if it cannot be decoded."""
        try:
            content = self.encoded(row)
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
        if self.deep:
            self._largest = max(self._largest, image.max().item())
        if self.values is not None:
            self.values[row] = image
        return hashlib.sha256(content).digest()

    def _decode(self, content: bytes) -> Tensor:
        return decode(content, channels=self.channels, size=self.size, resize=self.resize, deep=self.deep)

    def _unusable(self, *, some_are_left: bool) -> BadInput:
        """The refusal of images that cannot be used."""
        said = []
        large = [name for name in self.left_out if name in self._too_large]
        broken = [name for name in self.left_out if name not in self._too_large]
        if broken:
            them = "images; remove or replace them" if len(broken) > 1 else "an image; remove or replace it"
            said.append(f"{some(broken)} cannot be read as {them}")
        if large:
            most = self._too_large[large[0]] // 10**6
            has, them = ("have", "them") if len(large) > 1 else ("has", "it")
            said.append(
                f"{some(large)} {has} more than {most} megapixels; make {them} smaller or remove {them}"
            )
        if some_are_left and self.can_leave_out:
            said.append(SKIP_THEM)
        return BadInput("path", self.path, "; ".join(said))


def left_out(names: Sequence[str]) -> str:
    """The remark on images that cannot be used."""
    are = "images that are" if len(names) > 1 else "image that is"
    return f"{len(names):,} {are} broken: {some(names)}"


def _format(heads: Sequence[Head], channels: str | int) -> tuple[bool, int]:
    """Whether any image has 16 bits per pixel, and the number of channels of all."""
    grey = all(head.grey for head in heads)
    return any(head.deep for head in heads), int(channels) if channels != "auto" else 1 if grey else 3


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
