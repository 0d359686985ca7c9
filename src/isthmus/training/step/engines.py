"""How a batch becomes new weights under Lightning.

Where Lightning's strategy has something to add (another process's gradients, a loss scale), it is asked.
On one device without a loss scale it would only pass the call on, through a dozen hooks that nobody
uses, which on a small network takes longer than the arithmetic; there the step is recorded and replayed, and
the optimizers are called directly.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from pytorch_lightning import LightningModule
from pytorch_lightning.core.optimizer import LightningOptimizer
from pytorch_lightning.strategies import SingleDeviceStrategy
from torch import Tensor
from torch.optim import Optimizer

from isthmus.core.autoencoder import Autoencoder
from isthmus.training.step.capture import StepCapture, can_be_captured
from isthmus.training.step.eager import Steppable, Update, training_step
from isthmus.training.step.fused_adam import FusedAdam, is_fused_adam


class Step(Protocol):
    """One training step; see `training_step` for the arguments. Returns the terms by number, shape [T]."""

    def __call__(self, x: Tensor, *, epoch: Tensor | None, complete: bool, share: float) -> Tensor: ...


class StrategyStep:
    """A step that Lightning's strategy has a part in.

    Args:
        module: attached to its trainer.
        optimizers: as Lightning wraps them.
        clip: bounds the gradients before the optimizers use them; None where nothing does.
    """

    def __init__(
        self, module: Any, optimizers: list[LightningOptimizer], clip: Callable[[], None] | None
    ) -> None:
        self.autoencoder = module.autoencoder
        self.update = Update(optimizers, module.manual_backward, clip or (lambda: None))

    def __call__(self, x: Tensor, *, epoch: Tensor | None, complete: bool, share: float) -> Tensor:
        terms = training_step(self.autoencoder, x, self.update, epoch=epoch, complete=complete, share=share)
        return torch.stack(list(terms.named().values()))


class DirectStep:
    """A step on one device: gradients from a recording, PyTorch's optimizers without the strategy.

    Args:
        autoencoder: in training mode, on its device.
        optimizers: of its parameters.
        clip: bounds the gradients, in `grad`, before the optimizers use them; None where nothing does.
        counted: called before and after each step of an optimizer, with its number and whether it is made.
        compiled: see `StepCapture`.
    """

    def __init__(
        self,
        autoencoder: Autoencoder,
        optimizers: Sequence[Optimizer],
        clip: Callable[[], None] | None,
        *,
        counted: Callable[[int, bool], None] = lambda number, made: None,
        compiled: bool = False,
    ) -> None:
        self.gradients = StepCapture(autoencoder, compiled=compiled)
        self.optimizers: list[Steppable] = [
            FusedAdam(optimizer) if is_fused_adam(optimizer) else optimizer for optimizer in optimizers
        ]
        self.clip = clip
        self.counted = counted
        self._trained = self.gradients.parameters
        self._straight = self._needs_no_grad()
        self._accumulated = False

    def _needs_no_grad(self) -> FusedAdam | None:
        """The optimizer that can take gradients as they are computed: it is the only one, nothing clips."""
        first, *others = self.optimizers
        if others or self.clip is not None or not isinstance(first, FusedAdam):
            return None
        same = [id(p) for p in first.parameters] == [id(p) for p in self.gradients.parameters]
        return first if same else None

    def __call__(self, x: Tensor, *, epoch: Tensor | None, complete: bool, share: float) -> Tensor:
        terms, gradients = self.gradients(x, epoch, share)
        if self.gradients.compiled:  # both outlive the next batch
            terms = terms.clone()
            gradients = gradients if complete else [g if g is None else g.clone() for g in gradients]
        straight = self._straight if self.gradients.parameters is self._trained else None
        if complete and not self._accumulated and straight is not None:
            self.counted(0, False)
            straight.apply(gradients)
            self.counted(0, True)
            return terms
        for parameter, gradient in zip(self.gradients.parameters, gradients, strict=True):
            if parameter.grad is None:
                parameter.grad = gradient
            elif gradient is not None:
                parameter.grad += gradient
        self._accumulated = not complete
        if complete:
            if self.clip is not None:
                self.clip()
            for number, optimizer in enumerate(self.optimizers):
                self.counted(number, False)
                optimizer.step()
                optimizer.zero_grad()
                self.counted(number, True)
        return terms


def make_step(
    module: LightningModule,
    optimizers: list[LightningOptimizer],
    *,
    clip: Callable[[], None] | None,
    compiled: bool,
) -> Step:
    """The step of a module that is attached to its trainer; `compiled`: with torch.compile."""
    trainer = module.trainer
    scaled = getattr(trainer.precision_plugin, "scaler", None) is not None
    autoencoder: Any = module.autoencoder
    direct = isinstance(trainer.strategy, SingleDeviceStrategy) and not scaled
    if compiled and not (direct and can_be_captured(autoencoder)):
        autoencoder.compile()  # the forward pass alone
    if not direct:
        return StrategyStep(module, optimizers, clip)

    def counted(number: int, made: bool) -> None:  # Lightning counts the steps
        optimizers[number]._on_after_step() if made else optimizers[number]._on_before_step()

    inner = [optimizer.optimizer for optimizer in optimizers]
    return DirectStep(autoencoder, inner, clip, counted=counted, compiled=compiled)
