"""How the training step computes gradients and applies them under Lightning.

Where Lightning's strategy has something to add (another process's gradients, a loss scale), it is asked.
On one device without a loss scale it would only pass the call on, through a dozen hooks that nobody
uses, which on a small network takes longer than the arithmetic; there PyTorch is called directly.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pytorch_lightning import LightningModule
from pytorch_lightning.core.optimizer import LightningOptimizer
from pytorch_lightning.strategies import SingleDeviceStrategy
from torch import Tensor

from isthmus.training.step import Update


class Direct:
    """An optimizer that steps without the strategy; Lightning still counts the steps.

    Args:
        wrapped: Lightning's wrapper of it.
    """

    def __init__(self, wrapped: LightningOptimizer) -> None:
        self.wrapped = wrapped
        self.optimizer = wrapped.optimizer
        self.zero_grad = self.optimizer.zero_grad

    def step(self) -> None:
        self.wrapped._on_before_step()
        self.optimizer.step()
        self.wrapped._on_after_step()


def make_update(module: LightningModule, optimizers: list[Any], *, clip: Callable[[], None]) -> Update:
    """The `Update` of a module that is attached to its trainer."""
    trainer = module.trainer
    scaled = getattr(trainer.precision_plugin, "scaler", None) is not None
    if isinstance(trainer.strategy, SingleDeviceStrategy) and not scaled:
        return Update([Direct(optimizer) for optimizer in optimizers], Tensor.backward, clip)
    return Update(optimizers, module.manual_backward, clip)
