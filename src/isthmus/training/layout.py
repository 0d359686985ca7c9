"""How the weights of convolutions lie in memory: by channels, or the channels of each pixel side by side.

The second, `torch.channels_last`, is faster where kernels vectorise over channels: those of oneDNN on CPUs,
and of tensor cores (https://docs.pytorch.org/tutorials/intermediate/memory_format_tutorial.html). Activations
follow the weights.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.modules.conv import _ConvNd
from torch.optim import Optimizer


def lay_out(module: nn.Module, *, channels_last: bool | str, accelerator: str, precision: str) -> None:
    """Give the weights of `module` the layout that is asked for.

    Args:
        module: to change in place; nothing happens to one without convolutions.
        channels_last: True, False, or ``auto``: on CPUs, and in half precision on CUDA.
        accelerator: cpu, cuda or mps.
        precision: as Lightning's Trainer names it.
    """
    if not any(isinstance(part, _ConvNd) for part in module.modules()):
        return
    if channels_last == "auto":
        halved = precision.startswith(("bf16", "16"))
        channels_last = accelerator == "cpu" or (accelerator == "cuda" and halved)
    if channels_last:
        module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def follow_weights(optimizer: Optimizer) -> None:
    """Lay out an optimizer's state as its parameters are: fused kernels take for granted that it is."""
    for parameter, state in optimizer.state.items():
        for name, value in state.items():
            if value.shape == parameter.shape and value.stride() != parameter.stride():
                state[name] = torch.empty_like(parameter).copy_(value)
