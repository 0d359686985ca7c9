"""Makes PyTorch optimizers, and clips gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from pytorch_lightning import LightningModule
from torch import Tensor
from torch.optim import Optimizer

from isthmus.common.errors import one_of

FUSED_DEVICES = ("cpu", "cuda")


def make_optimizer(
    make: Callable[..., Optimizer], parameters: Iterable[Tensor], *, fused: bool | str, device: torch.device
) -> Optimizer:
    """`make(parameters)`, with PyTorch's fused implementation if requested.

    Args:
        make: an optimizer class with its settings bound.
        parameters: to train.
        fused: True, False, or ``auto``: True where the device has fused kernels.
        device: of the parameters.
    """
    if not isinstance(fused, bool):
        one_of("fused", fused, ("auto",))
        fused = device.type in FUSED_DEVICES
    return make(parameters, fused=fused)


def clip_gradients(module: LightningModule, optimizer: Any, *, value: float, algorithm: str) -> None:
    """Bound the gradients of `optimizer` by norm or value.

    Under float16 the gradients still carry the loss scale here, so the bound is scaled too.
    """
    scaler = getattr(module.trainer.precision_plugin, "scaler", None)
    bound = value if scaler is None else value * scaler.get_scale()
    parameters = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
    if algorithm == "norm":
        torch.nn.utils.clip_grad_norm_(parameters, bound)
    else:
        torch.nn.utils.clip_grad_value_(parameters, bound)
