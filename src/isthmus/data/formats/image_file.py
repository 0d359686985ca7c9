"""Decodes an image file to pixels, with Pillow (https://pillow.readthedocs.io)."""

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

# other decoders of Pillow are never used, whatever the content of a file
FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "WEBP", "GIF")
MOST_PIXELS = 64_000_000  # a small file can decompress to more than the available memory
MOST_DEEP_PIXELS = 16_000_000  # of an image of 16 bits, whose pixels are float32
MOST_SCANS = 500  # of a JPEG, usually 10; decoding takes a pass over all pixels for each, even an empty one
JPEG, SCAN = b"\xff\xd8", b"\xff\xda"  # begin a file, and a scan in it
PIXEL = 20  # peak memory of decoding, in bytes per pixel
DEEP_MODES = ("I", "I;16", "I;16B", "I;16L", "I;16N")
GREY_MODES = ("1", "L", "LA", "La", *DEEP_MODES)
TRANSPARENT_MODES = ("LA", "La", "PA", "RGBA", "RGBa")
DEEPEST = 65535  # largest value of a pixel of 16 bits
RESIZINGS = ("stretch", "crop", "pad")
UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error)  # what Pillow raises


class TooLarge(Exception):
    """According to its header, the image has more pixels than `limit`."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.limit = limit


class Head(NamedTuple):
    """From the header of a file.

    Attributes:
        grey: whether it is grey.
        deep: whether it has 16 bits per pixel.
        pixels: their number.
        transparent: whether it has an alpha channel, or transparent colours.
        several: whether it has more than one frame or page.
    """

    grey: bool
    deep: bool
    pixels: int
    transparent: bool
    several: bool


def head_of(file: Path | IO[bytes]) -> Head:
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
        return Head(
            image.mode in GREY_MODES,
            image.mode in DEEP_MODES,
            image.width * image.height,
            image.mode in TRANSPARENT_MODES or "transparency" in image.info,
            _has_several(image),
        )


def decode(
    content: bytes,
    *,
    channels: int,
    size: tuple[int, int] | None = None,
    resize: str = "stretch",
    deep: bool = False,
) -> Tensor:
    """Decode an image and apply its EXIF orientation. Shape: [C, H, W].

    The alpha channel is dropped. Of an image with several frames or pages the first is taken.

    Args:
        content: of a file.
        channels: 1 for grey (ITU-R 601-2 luma), 3 for RGB.
        size: height and width to resize to, with the Lanczos filter; None for no resizing.
        resize: how: "stretch" regardless of the aspect ratio, "crop" the middle, or "pad" with black.
        deep: whether to return float32 from 0 to 65535, to which images of 8 bits are scaled, and not uint8.

    Raises:
        TooLarge: before it is decoded.
        UNREADABLE: it is truncated, damaged, not an image, or its pixels are floating-point numbers.
    """
    from PIL import Image, ImageOps

    if content.startswith(JPEG) and content.count(SCAN) > MOST_SCANS:
        raise ValueError("has too many scans")
    with _open(io.BytesIO(content)) as opened:
        image = ImageOps.exif_transpose(opened)
    if image.mode == "F":
        raise ValueError("has floating-point pixels")
    if image.mode in DEEP_MODES:
        # Pillow's conversion would clip 16-bit values at 255
        values = np.asarray(image).astype(np.float32)
        if values.min() < 0 or values.max() > DEEPEST:
            raise ValueError("has pixels of more than 16 bits")
        image = Image.fromarray(values if deep else (values / 256).astype(np.uint8))
    if image.mode == "P":
        # without this step Pillow warns of transparent palette colours; the result is the same
        image = image.convert("RGBA")
    if image.mode != "F":
        image = image.convert("L" if channels == 1 else "RGB")
    if size is not None and image.size != size[::-1]:
        image = _resized(image, size[::-1], resize)
    pixels = np.array(image)
    if deep:
        pixels = pixels.astype(np.float32) * (1 if image.mode == "F" else 257)
        if channels == 3 and pixels.ndim == 2:
            pixels = np.repeat(pixels[..., None], 3, axis=2)
    made = torch.from_numpy(pixels)
    return made.unsqueeze(0) if channels == 1 else made.permute(2, 0, 1).contiguous()


def _resized(image: Image.Image, size: tuple[int, int], resize: str) -> Image.Image:
    from PIL import Image, ImageOps

    filter_ = Image.Resampling.LANCZOS
    if resize == "crop":
        return ImageOps.fit(image, size, filter_)
    if resize == "pad":
        return ImageOps.pad(image, size, filter_)
    return image.resize(size, filter_)


def _open(file: Path | IO[bytes]) -> Image.Image:
    from PIL import Image

    try:
        image = Image.open(file, formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise TooLarge(MOST_PIXELS) from error
    limit = MOST_DEEP_PIXELS if image.mode in DEEP_MODES else MOST_PIXELS
    if image.width * image.height > limit:
        image.close()
        raise TooLarge(limit)
    return image


def _has_several(image: Image.Image) -> bool:
    try:
        image.seek(1)
    except UNREADABLE:
        return False
    return True
