"""Where a model does not remove noise: as measured, or as its training and the noise of new data suggest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from isthmus.core.noise.none import NoNoise
from isthmus.tasks.denoising.evaluation import LINEAR, MODEL, NOISY, Score

IN_SENTENCE = {NOISY: "the noisy input", LINEAR: f"the {LINEAR}"}
LESS, MORE = 1 / 3, 2.0  # times the noise of training: an estimate of clipped noise may be half of it


def shortfalls(scores: Sequence[Score]) -> list[str]:
    """At which levels the model is worse than doing nothing, and than the best of the other methods."""
    errors: dict[float, dict[str, float]] = {}
    for score in scores:
        errors.setdefault(score.level, {})[score.method] = score.mse
    better: dict[str, list[str]] = {}  # the methods that are, and at which levels
    for level, found in errors.items():
        own = found.pop(MODEL)
        best = min(found, key=found.__getitem__)
        for method in dict.fromkeys((NOISY, best)):
            if own > found[method]:
                better.setdefault(method, []).append(f"{level:g}")
    return [
        f"the autoencoder is worse than {IN_SENTENCE.get(method, method)} at noise of {', '.join(levels)}"
        for method, levels in better.items()
    ]


def doubts(noise: Mapping[str, Any], level: float | None = None) -> list[str]:
    """Why a model may not remove the noise of new data.

    Args:
        noise: what it was trained with, as in a config.
        level: the estimated standard deviation of the noise in the data, in the unit of scaled data; None if
            it is not known.
    """
    std = noise.get("std")
    if std == 0 or str(noise["_target_"]).endswith(f".{NoNoise.__name__}"):
        fix = "train one with noise=gaussian noise.std=0.3"
        return [f"the model was trained without noise, and has not learned to remove any; {fix}"]
    if level is None or std is None or LESS * std <= level <= MORE * std:
        return []
    does = "takes away detail where there is less" if level < std else "leaves noise where there is more"
    return [f"INPUT has noise of about {level:.2g}; the model was trained at {std:g}, and {does}"]
