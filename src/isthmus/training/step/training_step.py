"""The training step: gradients, accumulation, clipping, optimizer step.

Lightning's strategy takes part where it adds something: another process's gradients, or a loss scale. On one
device without a loss scale its hooks take longer than the arithmetic of a small network. There the gradients
come from a captured step, and PyTorch's optimizers are called directly.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from pytorch_lightning import LightningModule
from pytorch_lightning.core.optimizer import LightningOptimizer
from pytorch_lightning.strategies import SingleDeviceStrategy
from torch import Tensor

from isthmus.training.step.capture import StepCapture, can_be_captured
from isthmus.training.step.eager import EagerGradients, Gradients
from isthmus.training.step.fused_adam import FusedAdam, is_fused_adam


class GradientSource(Protocol):
    """Computes the gradients of a batch; see `objective_and_terms` for the arguments.

    Attributes:
        parameters: that it computes gradients of.
        compiled: whether the next batch overwrites what it returns.
    """

    parameters: list[torch.nn.Parameter]
    compiled: bool

    def __call__(self, x: Tensor, epoch: Tensor | None, share: float) -> Gradients: ...


class TrainingStep:
    """One training step.

    Args:
        gradients: of a batch.
        optimizers: of its parameters, stepped in order; PyTorch's, or as Lightning wraps them.
        clip: bounds the gradients, in ``grad``, before the optimizers use them; None for no clipping.
        counted: called before and after each optimizer step, with the optimizer's index and whether the step
            was made.
    """

    def __init__(
        self,
        gradients: GradientSource,
        optimizers: Sequence[Any],
        clip: Callable[[], None] | None = None,
        *,
        counted: Callable[[int, bool], None] = lambda number, made: None,
    ) -> None:
        self.gradients = gradients
        self.optimizers: list[Any] = [
            FusedAdam(optimizer) if is_fused_adam(optimizer) else optimizer for optimizer in optimizers
        ]
        self.clip = clip
        self.counted = counted
        self._trained = gradients.parameters
        self._direct = self._needs_no_grad()
        self._accumulated = False

    def _needs_no_grad(self) -> FusedAdam | None:
        """The optimizer that takes gradients as they are computed: the only one, without clipping."""
        first, *others = self.optimizers
        if others or self.clip is not None or not isinstance(first, FusedAdam):
            return None
        same = [id(p) for p in first.parameters] == [id(p) for p in self._trained]
        return first if same else None

    def __call__(
        self, x: Tensor, *, epoch: Tensor | None, complete: bool = True, share: float = 1.0
    ) -> Tensor:
        """Train on one batch.

        Args:
            x: clean examples as the model sees them. Shape: [B, ...].
            epoch: epochs trained so far, fractions included: a scalar, for weights that warm up.
            complete: whether this batch completes an accumulated step, so that the optimizers run.
            share: of this batch in the step: one over the number of batches that make it.

        Returns:
            The terms before the update, detached: loss, reconstruction, regularizers. Shape: [T].
        """
        terms, gradients = self.gradients(x, epoch, share)
        if gradients is not None:
            if self.gradients.compiled:  # both outlive the next batch
                terms = terms.clone()
                gradients = gradients if complete else [g if g is None else g.clone() for g in gradients]
            direct = self._direct if self.gradients.parameters is self._trained else None
            if complete and not self._accumulated and direct is not None:
                self.counted(0, False)
                direct.apply(gradients)
                self.counted(0, True)
                return terms
            self._accumulate(gradients)
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

    def _accumulate(self, gradients: Sequence[Tensor | None]) -> None:
        for parameter, gradient in zip(self.gradients.parameters, gradients, strict=True):
            if parameter.grad is None:
                parameter.grad = gradient
            elif gradient is not None:
                parameter.grad += gradient


def make_step(
    module: LightningModule,
    optimizers: list[LightningOptimizer],
    *,
    clip: Callable[[], None] | None,
    compiled: bool,
) -> TrainingStep:
    """The step of a module that is attached to its trainer; `compiled`: with torch.compile."""
    trainer = module.trainer
    scaled = getattr(trainer.precision_plugin, "scaler", None) is not None
    autoencoder: Any = module.autoencoder
    direct = isinstance(trainer.strategy, SingleDeviceStrategy) and not scaled
    if compiled and not (direct and can_be_captured(autoencoder)):
        autoencoder.compile()  # the forward pass alone
    if not direct:
        return TrainingStep(EagerGradients(autoencoder, module.manual_backward), optimizers, clip)

    def counted(number: int, made: bool) -> None:  # Lightning counts the steps
        optimizers[number]._on_after_step() if made else optimizers[number]._on_before_step()

    inner = [optimizer.optimizer for optimizer in optimizers]
    return TrainingStep(StepCapture(autoencoder, compiled=compiled), inner, clip, counted=counted)
