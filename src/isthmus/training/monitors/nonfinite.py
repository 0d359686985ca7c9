"""Ends a training that diverged: a loss or a weight is not finite, or the final loss is far above that of
the untrained model.

Losses are collected on the device and checked together when metrics are logged, at checkpoints, and at the
end of an epoch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from isthmus.common.errors import TrainingDiverged
from isthmus.core.autoencoder import Autoencoder
from isthmus.core.seeding import default_generator

ADVICE = "lower optimizer.lr, or set trainer.gradient_clip_val=1"
FAR = 1e6  # times the loss of the untrained model: no training that learns or fluctuates ends there


class DivergenceGuard:
    """Collects losses on the device; `check` reads all of them at once.

    Args:
        advice: what to try, at the end of a message.
    """

    def __init__(self, advice: str = ADVICE) -> None:
        self._advice = advice
        self._terms: list[Tensor] = []
        self._steps: list[int] = []

    def add(self, step: int, terms: Tensor) -> None:
        """Record the terms of an optimizer step, the loss first. Shape: [T]."""
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
                f"the loss is {losses[first].item()} at step {self._steps[first]}; {self._advice}",
                self._steps[first],
            )
        self._terms, self._steps = [], []

    def check_weights(self, parameters: Iterable[Tensor], step: int) -> None:
        """Raise `TrainingDiverged` if a weight is not finite after `step`."""
        if not all(bool(parameter.isfinite().all()) for parameter in parameters):
            raise TrainingDiverged(f"a weight is not finite after step {step}; {self._advice}", step)


def check_learned(
    trained: Autoencoder, untrained: Callable[[], Autoencoder], x: Tensor, *, seed: int, step: int
) -> None:
    """Raise `TrainingDiverged` where training has made the loss of the same examples far worse than it was.

    Nothing of the course of the training counts, so that a run which is resumed gets the same verdict, and
    neither does the scale of the data, which both losses have.

    Args:
        trained: in evaluation mode.
        untrained: makes the same model with fresh weights; called where the loss is large.
        x: examples of the training set. Shape: [B, ...].
        seed: of noise and samples.
        step: optimizer steps made.
    """
    now = _loss(trained, x, seed)
    if now <= FAR:
        return
    before = _loss(untrained().to(x.device).eval(), x, seed)
    if not now <= FAR * max(abs(before), 1.0):
        raise TrainingDiverged(
            f"the loss is {now:.3g} after {step} steps, and was {before:.3g} before the first; {ADVICE}", step
        )


@torch.no_grad()
def _loss(autoencoder: Autoencoder, x: Tensor, seed: int) -> float:
    default_generator(x.device).manual_seed(seed)
    _, terms = autoencoder(x)
    return terms.named()["loss"].item()
