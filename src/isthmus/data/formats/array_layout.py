"""Converts arrays of any accepted shape and dtype to [N, F] or [N, C, H, W], uint8 or float32."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

LAYOUTS = ("auto", "NF", "NHW", "NCHW", "NHWC")
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


def layout_of(shape: tuple[int, ...], dtype: np.dtype, layout: str = "auto") -> Layout:
    """The layout of an array of `shape` and `dtype`.

    uint8 values are pixels from 0 to 255; booleans become 0 and 1.

    Args:
        shape: of the array.
        dtype: of its values.
        layout: what its axes are, one of `LAYOUTS`; "auto": [N, F] are features, [N, H, W] grey images, and
            four axes are images if exactly one of the second and the last has 1, 3 or 4 values, the channels.

    Raises:
        ValueError: another number of axes, an array that can be read in two ways, an empty array, or a dtype
            that is not real numbers.
    """
    if 0 in shape:
        raise ValueError(f"has the shape {list(shape)}: there is nothing in it")
    if dtype.kind not in "biuf":
        raise ValueError(f"holds values of type {dtype}; give real numbers")
    small = dtype == np.uint8 or dtype == np.bool_
    kind = np.dtype(np.uint8 if small else np.float32)
    unit = 1 / 255 if dtype == np.uint8 else 1.0
    if layout == "auto":
        layout = _detect(shape)
    if len(layout) != len(shape):
        raise ValueError(f"has the shape {list(shape)}; data.layout={layout} needs {len(layout)} axes")
    sizes = dict(zip(layout, shape, strict=True))
    if layout == "NF":
        return Layout((sizes["F"],), kind, unit, False)
    return Layout((sizes.get("C", 1), sizes["H"], sizes["W"]), kind, unit, layout == "NHWC")


def _detect(shape: tuple[int, ...]) -> str:
    if len(shape) in (2, 3):
        return "NF" if len(shape) == 2 else "NHW"
    if len(shape) != 4:
        raise ValueError(
            f"has the shape {list(shape)}; give [N, F] features, [N, H, W] grey images, "
            "or [N, H, W, C] or [N, C, H, W] images, one row for each example"
        )
    _, second, third, last = shape
    if (second in CHANNELS) == (last in CHANNELS):
        raise ValueError(
            f"has the shape {list(shape)}, which can be images of {second} x {third} pixels and {last} "
            f"channels or of {third} x {last} pixels and {second} channels; "
            "give data.layout=NHWC or data.layout=NCHW"
        )
    return "NHWC" if last in CHANNELS else "NCHW"
