"""How an array of any accepted shape and dtype becomes batches: [N, F] or [N, C, H, W], uint8 or float32."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

CHANNELS = (1, 3, 4)  # grey, RGB, RGBA: what an axis of colours can have


class Layout(NamedTuple):
    """What is made of each row.

    Attributes:
        shape: of one example: (F,) or (C, H, W).
        dtype: uint8 or float32.
        unit: what one stored unit is worth to the model.
        channels_last: the array has the colours in its last axis.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    unit: float
    channels_last: bool

    def apply(self, stored: np.ndarray) -> np.ndarray:
        """The values of some rows, C-contiguous. Shapes: [B, as stored] -> [B, *shape]."""
        if self.channels_last:
            stored = stored.transpose(0, 3, 1, 2)
        with np.errstate(over="ignore", invalid="ignore"):  # what becomes inf or NaN, the check refuses
            return np.ascontiguousarray(stored.reshape(len(stored), *self.shape), dtype=self.dtype)


def layout_of(shape: tuple[int, ...], dtype: np.dtype) -> Layout:
    """The layout of an array of `shape` and `dtype`.

    [N, F] are features, [N, H, W] grey images, [N, H, W, C] images with 1, 3 or 4 colours last, and any
    other four axes [N, C, H, W]. Bytes are pixels from 0 to 255; true and false are 1 and 0.

    Raises:
        ValueError: another number of axes, no values, or values that are not real numbers.
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
