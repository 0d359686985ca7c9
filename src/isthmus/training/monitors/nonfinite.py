"""Notices a loss that is no longer finite, without waiting for the device at every step."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from isthmus.common.errors import TrainingDiverged

ADVICE = "lower optimizer.lr, or set trainer.gradient_clip_val=1"


class DivergenceGuard:
    """Collects losses, and looks at all of them together when asked."""

    def __init__(self) -> None:
        self._terms: list[Tensor] = []
        self._steps: list[int] = []

    def add(self, step: int, terms: Tensor) -> None:
        """Remember the terms of an optimizer step, the loss first. Shape: [T]."""
        self._steps.append(step)
        self._terms.append(terms)

    def check(self) -> None:
        """Raise `TrainingDiverged` with the first step whose loss was not finite."""
        if not self._terms:
            return
        losses = torch.stack(self._terms)[:, 0]
        bad = (~losses.isfinite()).nonzero()
        if len(bad):
            first = int(bad[0])
            raise TrainingDiverged(
                f"the loss is {losses[first].item()} at step {self._steps[first]}; {ADVICE}",
                self._steps[first],
            )
        self._terms, self._steps = [], []

    @staticmethod
    def check_weights(parameters: Iterable[Tensor], step: int) -> None:
        """Raise `TrainingDiverged` if a weight is not finite after `step`."""
        if not all(bool(parameter.isfinite().all()) for parameter in parameters):
            raise TrainingDiverged(f"a weight is not finite after step {step}; {ADVICE}", step)
