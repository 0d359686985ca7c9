"""Examples in an array or a tensor."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np
import torch
from torch import Tensor

from isthmus.common.errors import BadInput
from isthmus.common.messages import first_line
from isthmus.data.formats.mapped_array import MappedArray
from isthmus.tasks.inputs.examples import Accepted, Examples


class ArrayExamples(Examples):
    """Images [N, C, H, W], [N, H, W, C], [N, H, W] if they are grey, or flat [N, C * H * W] if they are grey;
    features [N, F]. If the model accepts noisy examples, images may have any size.

    Whole numbers are values as stored: pixels from 0 to 255. Decimal numbers are pixels in [0, 1]. Data that
    were standardised, or not scaled, in training are taken in their own unit.

    Args:
        x: NumPy array or tensor, or nested lists.
        accepted: by the model.

    Raises:
        BadInput: it is empty, of another shape, or has no real numbers.
    """

    def __init__(self, x: Any, accepted: Accepted) -> None:
        self.accepted = accepted
        self.tensor = x if isinstance(x, Tensor) else None
        self.x = _numbers(x)
        self.axes = _axes(tuple(self.x.shape), accepted.shape, any_size=accepted.noisy)
        self.shape = _shape(tuple(self.x.shape), self.axes, accepted.shape)
        # decimal pixels are those of the model already
        self.scaled = accepted.pixel_unit is not None and self.x.dtype.kind == "f"

    def __len__(self) -> int:
        return len(self.x)

    def take(self, start: int, stop: int) -> Tensor:
        part = self.x[start:stop]
        with np.errstate(over="ignore", invalid="ignore"):  # the check refuses inf and NaN
            # bytes are copied when they are scaled
            whole = part.dtype == np.uint8
            stored = torch.from_numpy(
                np.require(part, None, ["C", "W"]) if whole else np.array(part, np.float32)
            )
        if self.axes == "NHWC":
            stored = stored.permute(0, 3, 1, 2)
        stored = stored.reshape(len(stored), *self.shape)
        self.accepted.check(stored, start, scaled=self.scaled)
        return stored.float() if self.scaled else self.accepted.scaling(stored)

    def restored(self, x: Tensor) -> Any:
        values = x.float().cpu()
        values = values if self.scaled else self.accepted.scaling.invert(values)
        if self.axes == "NHWC":
            values = values.permute(0, 2, 3, 1)
        values = values.reshape(len(values), *self.x.shape[1:])
        dtype: np.dtype = self.x.dtype
        array = values.numpy()
        if dtype.kind in "iu":
            limits = np.iinfo(dtype)
            array = np.clip(np.rint(array), limits.min, limits.max)
        array = array >= 0.5 if dtype.kind == "b" else array.astype(dtype)
        return array if self.tensor is None else torch.from_numpy(array).to(self.tensor)


def as_array(key: str, x: Any) -> np.ndarray:
    """A tensor, nested lists or the like as an array. Raises `BadInput` for what has no rows."""
    if isinstance(x, Tensor):
        x = x.detach().cpu()
        return (x.float() if x.dtype in (torch.bfloat16, torch.float16) else x).resolve_conj().numpy()
    try:
        array = np.asarray(x)
    except ValueError as error:
        raise BadInput(key, type(x).__name__, f"is no array ({first_line(error)})") from error
    if not array.ndim:
        raise BadInput(key, type(x).__name__, "is no array")
    return array


def _numbers(x: Any) -> np.ndarray | MappedArray:
    array = x if isinstance(x, MappedArray) else as_array("x", x)
    if array.dtype.kind == "O":  # such as nullable integers of pandas
        with suppress(TypeError, ValueError):
            array = np.asarray(array, np.float64)
    if array.dtype.kind not in "biuf":
        raise BadInput("x", f"values of type {array.dtype}", "must be real numbers")
    return array


def _axes(given: tuple[int, ...], shape: tuple[int, ...], *, any_size: bool = False) -> str:
    """What the axes are: NF, NHW, NCHW or NHWC."""
    if not given or not given[0]:
        raise BadInput("x", f"shape {list(given)}", "is empty; give at least one example")
    flat = int(np.prod(shape))
    accepted = {(*shape,): "NCHW" if len(shape) == 3 else "NF"}
    if len(shape) == 3:
        channels, height, width = shape
        accepted.setdefault((height, width, channels), "NHWC")
        if channels == 1:
            accepted |= {(height, width): "NHW", (flat,): "NF"}
    if given[1:] in accepted:
        return accepted[given[1:]]
    if any_size and len(shape) == 3 and 0 not in given:
        found = _image_axes(given, shape[0])
        if len(found) == 1:
            return found[0]
        if found:
            fix = f"can be {' or '.join(found)}; move the axes, so that one alone has {shape[0]} channels"
            raise BadInput("x", f"shape {list(given)}", fix)
    wanted = ", ".join(str(["N", *each]).replace("'", "") for each in accepted)
    if given in accepted:
        raise BadInput("x", f"shape {list(given)}", "is one example; give a batch: x[None]")
    raise BadInput(
        "x", f"shape {list(given)}", f"must be {wanted}, as the model was trained on {list(shape)}"
    )


def _image_axes(given: tuple[int, ...], channels: int) -> list[str]:
    """What the axes of images of any size can be."""
    if len(given) == 3 and channels == 1:
        return ["NHW"]
    if len(given) != 4:
        return []
    return [axes for axes, place in (("NCHW", 1), ("NHWC", 3)) if given[place] == channels]


def _shape(given: tuple[int, ...], axes: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of one example: (C, H, W) or (F,)."""
    if axes == "NF":
        return shape
    sizes = dict(zip(axes, given, strict=True))
    return sizes.get("C", 1), sizes["H"], sizes["W"]
