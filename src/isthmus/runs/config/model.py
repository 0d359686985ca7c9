"""Builds an autoencoder from a config in plain types, without importing Lightning, Hydra or OmegaConf."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from isthmus.common.errors import BadInput
from isthmus.core.architectures.base import Architecture
from isthmus.core.autoencoder import Autoencoder
from isthmus.core.latents.base import Latent
from isthmus.core.losses.base import Loss
from isthmus.core.noise.base import Noise
from isthmus.core.objectives.base import Objective
from isthmus.core.regularizers.base import Regularizer
from isthmus.core.types import FeatureSpan
from isthmus.runs.config.parts import part, under

GROUPS = ("architecture", "latent", "loss", "regularizer", "objective", "noise")  # that define a model


def make_autoencoder(
    config: Mapping[str, Any],
    shape: tuple[int, ...],
    value_range: tuple[float, float],
    spans: Sequence[FeatureSpan] = (),
) -> Autoencoder:
    """The model for data of `shape`; checks that its parts are compatible.

    Args:
        config: at least the keys of `GROUPS`.
        shape: of one example.
        value_range: of the data, after scaling.
        spans: the features that are categories or true/false.

    Raises:
        BadInput: a part cannot be built, or not for these data; names its key.
    """
    architecture = part("architecture", config["architecture"], Architecture)
    loss = part("loss", config["loss"], Loss)
    noise = part("noise", config["noise"], Noise)
    objective = part("objective", config["objective"], Objective)
    regularizers = {}
    for name, keys in (config["regularizer"] or {}).items():
        if "_target_" not in keys:
            raise BadInput(
                f"regularizer.{name}",
                dict(keys),
                f"is set, but {name} is not among the regularizers; add regularizer=[{name}]",
            )
        regularizers[str(name)] = part(f"regularizer.{name}", keys, Regularizer)
    coder = under("architecture", lambda: architecture.build(shape, config["latent"]["dim"]))
    latent = part("latent", config["latent"], Latent, width=coder.width)
    loss.set_spans(spans)
    under("loss", lambda: loss.check(value_range))
    under("noise", lambda: noise.prepare(value_range))
    for regularizer in regularizers.values():
        under("regularizer", partial(regularizer.check, probabilistic=latent.probabilistic))
    return Autoencoder(
        coder=coder,
        latent=latent,
        loss=loss,
        regularizers=regularizers,
        objective=objective,
        noise=noise,
    )
