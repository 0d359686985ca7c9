"""Denoises image files: what comes back has the size, the mode and the depth of the file, as PNG."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from torch import Tensor

from isthmus.common.atomic_files import replacing
from isthmus.common.errors import BadInput
from isthmus.data.formats.image_file import (
    DEEPEST,
    FORMATS,
    TRANSPARENT_MODES,
    UNREADABLE,
    TooLarge,
    decode,
    head_of,
)
from isthmus.data.memory import NoRoom, check_room
from isthmus.tasks.trained_model import TrainedModel

if TYPE_CHECKING:
    from PIL import Image

BYTE = 255
HELD = 64  # bytes of memory for a pixel of an image of any size: three channels, in float32, five times


def check_reads_images(model: TrainedModel) -> None:
    """Raise `BadInput` if the model was not trained on pixels in [0, 1], grey or RGB."""
    if len(model.shape) != 3 or model.shape[0] not in (1, 3):
        raise BadInput("INPUT", "images", f"the model was trained on {list(model.shape)}; give such an array")
    low, high = model.value_range
    if low < 0 or high > 1 or model.largest_pixel is None:
        raise BadInput("INPUT", "images", "the model was not trained on values from 0 to 1; give an array")


class ImageFile(NamedTuple):
    """An image in a file.

    Attributes:
        pixels: from 0 to 1. Shape: [C, H, W], one channel or three.
        unit: the stored value that is 1 here.
        alpha: its alpha channel, if it has one.
        binary: whether its pixels are black or white only.
    """

    pixels: Tensor
    unit: float
    alpha: Image.Image | None
    binary: bool


def read_image(model: TrainedModel, source: Path, name: str) -> ImageFile:
    """Read an image file for a model; see `check_reads_images`.

    Raises:
        BadInput: it cannot be read as an image; `name` is in the message.
    """
    try:
        check_room(source.stat().st_size, name)
        content = source.read_bytes()
        head = head_of(io.BytesIO(content))
        check_room(head.pixels * HELD, name)
        pixels = decode(content, channels=1 if head.grey else 3, deep=head.deep)
        alpha, binary = _rest(content, head.transparent)
    except TooLarge as error:
        fix = f"has more than {error.limit // 10**6} megapixels; make it smaller"
        raise BadInput("INPUT", name, fix) from error
    except NoRoom as error:
        raise BadInput("INPUT", name, str(error)) from error
    except UNREADABLE as error:
        raise BadInput("INPUT", name, f"cannot be read as an image ({error})") from error
    trained = model.largest_pixel or 0  # of images of 10 to 16 bits, it is that of training
    unit = (trained if trained > BYTE else DEEPEST) if head.deep else BYTE
    return ImageFile(pixels / unit, unit, None if head.deep else alpha, binary)


def denoise_image(model: TrainedModel, image: ImageFile, target: Path, *, overlap: float) -> None:
    """Write a denoised image to a .png file, atomically, in the mode and the depth of the given one.

    A model of grey images denoises the channels of a colour image one by one, and a model of colour images
    takes a grey one as three equal channels. An alpha channel is kept as it is. Palettes become RGB.

    Args:
        model: see `check_reads_images`.
        image: from `read_image`.
        target: the file.
        overlap: see `TrainedModel.denoise`.
    """
    made = _denoised(model, image.pixels, overlap) * image.unit
    picture = _picture(made.numpy().round(), deep=image.unit > BYTE, alpha=image.alpha)
    if image.binary:
        picture = picture.point(lambda value: BYTE * (value > BYTE // 2)).convert("1")
    with replacing(target) as beside:
        picture.save(beside, format="PNG")


def _denoised(model: TrainedModel, x: Tensor, overlap: float) -> Tensor:
    """Shape: [C, H, W], values of the model, whatever its number of channels -> the same."""
    channels = model.shape[0]
    if len(x) == channels:
        return model.denoise_values(x[None], overlap=overlap)[0]
    if channels == 1:
        return model.denoise_values(x[:, None], overlap=overlap)[:, 0]
    return model.denoise_values(x.expand(channels, -1, -1)[None], overlap=overlap)[0].mean(0, keepdim=True)


def _rest(content: bytes, transparent: bool) -> tuple[Image.Image | None, bool]:
    """The alpha channel of an image, if it has one; and whether its pixels are black or white only."""
    from PIL import Image, ImageOps

    with Image.open(io.BytesIO(content), formats=FORMATS) as opened:
        binary = opened.mode == "1"
        if not transparent:
            return None, binary
        image = ImageOps.exif_transpose(opened)
        whole = image if image.mode in TRANSPARENT_MODES else image.convert("RGBA")
        return whole.convert("RGBA").getchannel("A"), binary


def _picture(pixels: np.ndarray, *, deep: bool, alpha: Image.Image | None) -> Image.Image:
    """Shape: [C, H, W], whole numbers of a byte, or of 16 bits if it is deep."""
    from PIL import Image

    array = pixels.astype(np.uint16 if deep else np.uint8)
    image = Image.fromarray(array[0] if len(array) == 1 else np.moveaxis(array, 0, 2))
    if alpha is not None:
        image.putalpha(alpha)
    return image
