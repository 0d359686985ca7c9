"""Layers that architectures select by name."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from isthmus.common.errors import BadInput, check_int, one_of

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
}

WIDEST = 10**8  # channels or units of one layer


def widths(key: str, value: object, *, otherwise: str = "") -> list[int]:
    """`value` as a non-empty list of positive integers, one per stage; raises `BadInput` otherwise."""
    if isinstance(value, str) or not isinstance(value, Sequence) or not value:
        raise BadInput(key, value, f"must be a list of whole numbers, such as [32, 64]{otherwise}")
    return [check_int(key, width, most=WIDEST) for width in value]


NORMALIZATIONS_1D = ("none", "batch", "layer")
NORMALIZATIONS_2D = ("none", "batch", "group")


def activation(name: str) -> nn.Module:
    """A new activation layer; raises `BadInput` for a name that is not in `ACTIVATIONS`."""
    return ACTIVATIONS[one_of("activation", name, tuple(ACTIVATIONS))]()


def normalization_1d(name: str, width: int) -> list[nn.Module]:
    """Normalisation of [B, width]: none, batch or layer."""
    one_of("normalization", name, NORMALIZATIONS_1D)
    if name == "batch":
        return [nn.BatchNorm1d(width)]
    if name == "layer":
        return [nn.LayerNorm(width)]
    return []


def normalization_2d(name: str, channels: int) -> list[nn.Module]:
    """Normalisation of [B, channels, H, W]: none, batch or group.

    Group normalisation uses groups of about eight channels (Wu and He 2018: the exact number matters little).
    """
    one_of("normalization", name, NORMALIZATIONS_2D)
    if name == "batch":
        return [nn.BatchNorm2d(channels)]
    if name == "group":
        groups = next(n for n in range(max(1, channels // 8), 0, -1) if channels % n == 0)
        return [nn.GroupNorm(groups, channels)]
    return []
