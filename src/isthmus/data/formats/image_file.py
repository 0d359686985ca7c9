"""Decodes a PNG or JPEG file to uint8 pixels, with Pillow (https://pillow.readthedocs.io)."""

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

FORMATS = ("PNG", "JPEG")  # other decoders of Pillow are never used, whatever the content of a file
MOST_PIXELS = 64_000_000  # a small file can decompress to more than the available memory
MOST_SCANS = 500  # of a JPEG, usually 10; decoding takes a pass over all pixels for each, even an empty one
SCAN = b"\xff\xda"
PIXEL = 20  # peak memory of decoding, in bytes per pixel
GREY_MODES = ("1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "I;16N")
UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error)  # what Pillow raises


class TooLarge(Exception):
    """According to its header, the image has more than `MOST_PIXELS`."""


class Head(NamedTuple):
    """From the header of a file: whether it is grey, and its number of pixels."""

    grey: bool
    pixels: int


def head_of(file: Path) -> Head:
    """Read only the header of a file.

    Not thread-safe: changes the warning filters of the process.

    Raises:
        TooLarge: it has too many pixels.
        UNREADABLE: it is not an image.
    """
    from PIL import Image

    with warnings.catch_warnings():
        # `_open` refuses the images that Pillow warns about
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        image = _open(file)
    with image:
        return Head(image.mode in GREY_MODES, image.width * image.height)


def decode(content: bytes, *, channels: int, size: tuple[int, int] | None = None) -> Tensor:
    """Decode an image and apply its EXIF orientation. Shape: [C, H, W], uint8.

    The alpha channel is dropped, and 16-bit pixels are reduced to 8 bits.

    Args:
        content: of a file.
        channels: 1 for grey (ITU-R 601-2 luma), 3 for RGB.
        size: height and width to resize to, with the Lanczos filter; None for no resizing.

    Raises:
        TooLarge: before it is decoded.
        UNREADABLE: it is truncated, damaged or not an image.
    """
    from PIL import Image, ImageOps

    if content.count(SCAN) > MOST_SCANS:
        raise ValueError("has too many scans")
    with _open(io.BytesIO(content)) as opened:
        image = ImageOps.exif_transpose(opened)
    if image.mode.startswith("I"):
        # Pillow's conversion would clip 16-bit values at 255
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode == "P":
        # without this step Pillow warns of transparent palette colours; the result is the same
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
