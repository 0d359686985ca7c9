"""One PNG or JPEG file as bytes of pixels, by Pillow (https://pillow.readthedocs.io)."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from PIL import Image

FORMATS = ("PNG", "JPEG")  # Pillow's other decoders are not tried, whatever a file pretends to be
MOST_PIXELS = 64_000_000  # a small file can unpack to more than the memory there is
MOST_SCANS = 500  # of a JPEG, whose decoder goes over all pixels in each, even if it is empty; 10 are usual
SCAN = b"\xff\xda"
PIXEL = 20  # bytes of memory that decoding takes for each pixel, at most
GREY_MODES = ("1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "I;16N")
UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error)  # what Pillow raises


class TooLarge(Exception):
    """The file says that it has more than `MOST_PIXELS`."""


class Head(NamedTuple):
    """What a file says before its pixels: whether it has no colour, and how many pixels there are."""

    grey: bool
    pixels: int


def head_of(file: Path) -> Head:
    """Read no more than the head of a file.

    Not for threads: it changes what the process warns of.

    Raises:
        TooLarge: before any of it is decoded.
        UNREADABLE: it is not an image.
    """
    from PIL import Image

    with warnings.catch_warnings():
        # Pillow warns of what is refused here
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        image = _open(file)
    with image:
        return Head(image.mode in GREY_MODES, image.width * image.height)


def decode(content: bytes, *, channels: int, size: tuple[int, int] | None = None) -> Tensor:
    """The pixels, upright as EXIF says. Shape: [C, H, W], uint8.

    Transparency is dropped, and 16 bits a pixel become 8.

    Args:
        content: of a file.
        channels: 1 for grey (ITU-R 601-2 luma), 3 for RGB.
        size: height and width to resize to, by Lanczos' filter; None to keep the file's own.

    Raises:
        TooLarge: before any of it is decoded.
        UNREADABLE: it is not a whole image.
    """
    from PIL import Image, ImageOps

    if content.count(SCAN) > MOST_SCANS:
        raise ValueError("has too many scans")
    with _open(io.BytesIO(content)) as opened:
        image = ImageOps.exif_transpose(opened)
    if image.mode.startswith("I"):
        # Pillow would cut 16 bits off at 255
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode == "P":
        # straight to RGB, Pillow warns where single colours are transparent; the colours are the same
        image = image.convert("RGBA")
    image = image.convert("L" if channels == 1 else "RGB")
    if size is not None and image.size != size[::-1]:
        image = image.resize(size[::-1], Image.Resampling.LANCZOS)
    pixels = torch.from_numpy(np.array(image))
    return pixels.unsqueeze(0) if channels == 1 else pixels.permute(2, 0, 1).contiguous()


def _open(file: Path | IO[bytes]) -> Image.Image:
    from PIL import Image

    try:
        image = Image.open(file, formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise TooLarge from error
    if image.width * image.height > MOST_PIXELS:
        image.close()
        raise TooLarge
    return image
