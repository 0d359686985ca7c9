"""How the weights of convolutions lie in memory: by channels, or the channels of each pixel side by side.

The second, `torch.channels_last`, is faster where kernels vectorise over channels: those of oneDNN on CPUs,
and of tensor cores (https://docs.pytorch.org/tutorials/intermediate/memory_format_tutorial.html). Activations
follow the weights.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils import convert_conv2d_weight_memory_format
from torch.optim import Optimizer

from isthmus.training.step.capturable import is_capturable


def set_memory_format(
    module: nn.Module, *, channels_last: bool | str, accelerator: str, precision: str
) -> None:
    """Give the weights of `module` the layout that is asked for.

    Args:
        module: to change in place; nothing happens to one without two-dimensional convolutions.
        channels_last: True, False, or ``auto``: on CPUs, and in half precision on CUDA, where nobody else's
            modules take part, which may rely on the layout of what they get.
        accelerator: cpu, cuda or mps.
        precision: as Lightning's Trainer names it.
    """
    if channels_last == "auto":
        halved = precision.startswith(("bf16", "16"))
        faster = accelerator == "cpu" or (accelerator == "cuda" and halved)
        channels_last = faster and is_capturable(module)
    if channels_last:
        convert_conv2d_weight_memory_format(module, torch.channels_last)


def follow_weights(optimizer: Optimizer) -> None:
    """Lay out an optimizer's state as its parameters are, which fused kernels take for granted.

    A checkpoint may come from where the weights had another layout.
    """
    for parameter, state in optimizer.state.items():
        for name, value in state.items():
            same_shape = isinstance(value, Tensor) and value.shape == parameter.shape
            if same_shape and value.stride() != parameter.stride():
                state[name] = torch.empty_like(parameter).copy_(value)
