"""Memory format of convolution weights: contiguous, or channels last.

`torch.channels_last` is faster where kernels vectorise over channels: those of oneDNN on CPUs, and of
tensor cores (https://docs.pytorch.org/tutorials/intermediate/memory_format_tutorial.html). Activations
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
    """Set the memory format of the weights of `module`.

    Args:
        module: changed in place; only two-dimensional convolutions are.
        channels_last: True, False, or ``auto``: on CPUs, and in half precision on CUDA, without
            third-party modules, which may assume contiguous inputs.
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
    """Give an optimizer's state the strides of its parameters, which fused kernels assume.

    A checkpoint may come from a run with another memory format.
    """
    for parameter, state in optimizer.state.items():
        for name, value in state.items():
            same_shape = isinstance(value, Tensor) and value.shape == parameter.shape
            if same_shape and value.stride() != parameter.stride():
                state[name] = torch.empty_like(parameter).copy_(value)
