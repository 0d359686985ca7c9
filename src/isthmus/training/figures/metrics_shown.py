"""Which metrics are drawn over epochs, and on which scale. Imports no NumPy, as the report reads it, too."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

STAGES = ("train", "val")
FIRST = ("loss", "reconstruction")
LAST = ("mse", "psnr", "ssim", "active_units", "bce")  # after what the regularizers are called
LEFT_OUT = ("mae",)  # which looks like the mse
LARGEST = 1e300  # differences between larger values may not be finite
LOG_FROM = 10.0  # ratio of the largest to the smallest value above which an axis is logarithmic


def metrics_to_draw(history: Mapping[str, Iterable[float]]) -> list[str]:
    """The metrics that have a value to draw, the most telling ones first.

    Args:
        history: the values of metrics such as ``val/loss`` after each epoch.
    """
    names = {name.partition("/")[2] for name, values in history.items() if "/" in name and any_drawn(values)}
    names -= {*LEFT_OUT}
    others = sorted(names - {*FIRST, *LAST}, key=lambda name: (name.endswith("_weight"), name))
    if all(_alike(*(history.get(f"{stage}/{name}", ()) for name in FIRST)) for stage in STAGES):
        names.discard("reconstruction")  # without regularizers it is the loss
    return [name for name in (*FIRST, *others, *LAST) if name in names]


def _alike(first: Iterable[float], second: Iterable[float]) -> bool:
    return [str(value) for value in first] == [str(value) for value in second]  # also of NaN


def is_drawn(y: float) -> bool:
    """Whether a value is finite, and differences between such values are too."""
    return abs(y) < LARGEST


def any_drawn(values: Iterable[float]) -> bool:
    """Whether there is a value to draw."""
    return any(map(is_drawn, values))


def is_logarithmic(values: Iterable[float]) -> bool:
    """Whether values are positive, and so far apart that their logarithms are drawn."""
    drawn = [y for y in values if is_drawn(y)]
    return bool(drawn) and min(drawn) > 0 and max(drawn) / LOG_FROM > min(drawn)
