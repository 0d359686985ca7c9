"""Converts arrays of any accepted shape and dtype to [N, F] or [N, C, H, W], uint8 or float32."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

CHANNELS = (1, 3, 4)  # possible sizes of a channel axis: grey, RGB, RGBA


class Layout(NamedTuple):
    """The conversion of each row.

    Attributes:
        shape: of one example: (F,) or (C, H, W).
        dtype: uint8 or float32.
        unit: factor from stored to model values.
        channels_last: whether the last axis of the array has the channels.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    unit: float
    channels_last: bool

    def apply(self, stored: np.ndarray) -> np.ndarray:
        """Convert some rows to a C-contiguous array. Shapes: [B, as stored] -> [B, *shape]."""
        if self.channels_last:
            stored = stored.transpose(0, 3, 1, 2)
        with np.errstate(over="ignore", invalid="ignore"):  # `scan` refuses inf and NaN
            return np.ascontiguousarray(stored.reshape(len(stored), *self.shape), dtype=self.dtype)


def layout_of(shape: tuple[int, ...], dtype: np.dtype) -> Layout:
    """The layout of an array of `shape` and `dtype`.

    [N, F] are features, [N, H, W] grey images, [N, H, W, C] images if the last axis has 1, 3 or 4 channels
    and H has another size; other four-dimensional arrays are [N, C, H, W]. uint8 values are pixels from 0 to
    255; booleans become 0 and 1.

    Raises:
        ValueError: another number of dimensions, an empty array, or a dtype that is not real numbers.
    """
    if 0 in shape:
        raise ValueError(f"has the shape {list(shape)}: there is nothing in it")
    if dtype.kind not in "biuf":
        raise ValueError(f"holds values of type {dtype}; give real numbers")
    small = dtype == np.uint8 or dtype == np.bool_
    kind = np.dtype(np.uint8 if small else np.float32)
    unit = 1 / 255 if dtype == np.uint8 else 1.0
    match shape[1:]:
        case (features,):
            return Layout((features,), kind, unit, False)
        case (height, width):
            return Layout((1, height, width), kind, unit, False)
        case (height, width, colours) if colours in CHANNELS and height not in CHANNELS:
            return Layout((colours, height, width), kind, unit, True)
        case (colours, height, width):
            return Layout((colours, height, width), kind, unit, False)
    raise ValueError(
        f"has the shape {list(shape)}; give [N, F] features, [N, H, W] grey images, "
        "or [N, H, W, C] or [N, C, H, W] images, one row for each example"
    )
