"""Compute the size of a model before allocating memory for it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from isthmus.common.errors import BadInput
from isthmus.data.memory import available_memory

COPIES = 2  # of each weight during training, at least: the weight and its gradient


def check_fits(make: Callable[[], nn.Module]) -> None:
    """Raise `BadInput` if a model and its gradients need more than the free memory of this machine.

    Args:
        make: builds the model; called on the meta device, where tensors have no storage and no random numbers
            are drawn.
    """
    try:
        with torch.device("meta"):
            model = make()
    except BadInput:
        raise
    except Exception as error:
        if "overflow" in str(error):
            raise _too_large("more parameters than can be counted") from error
        return  # third-party modules may not support the meta device; real errors recur later
    parameters = list(model.parameters())
    needed = COPIES * sum(parameter.numel() * parameter.itemsize for parameter in parameters)
    free = available_memory()
    if free and needed > free:
        count = sum(parameter.numel() for parameter in parameters)
        raise _too_large(
            f"{count:,} parameters, which with their gradients take {needed / 1e9:,.1f} GB of memory; "
            f"{free / 1e9:,.1f} GB are free"
        )


def _too_large(size: str) -> BadInput:
    fix = "use fewer or narrower layers, smaller examples or a smaller latent.dim"
    return BadInput("architecture", "as composed", f"would have {size}; {fix}")
