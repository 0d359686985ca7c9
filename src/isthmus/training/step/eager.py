"""One training step, written once: noise, forward, loss, backward, optimizers.

It knows nothing of Lightning, and nothing of the model: how gradients are computed and scaled,
clipped and applied is handed to it as an `Update`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from isthmus.core.types import ForwardResult, Terms


class Forward(Protocol):
    """`Autoencoder.forward`, compiled or not."""

    def __call__(
        self, x: Tensor, *, generator: torch.Generator | None, epoch: Tensor | None
    ) -> tuple[ForwardResult, Terms]: ...


class Steppable(Protocol):
    """What the step needs of an optimizer."""

    def step(self) -> object: ...

    def zero_grad(self) -> None: ...


class Update(NamedTuple):
    """How an objective becomes new weights.

    Attributes:
        optimizers: stepped in order.
        backward: computes gradients of a scalar (a precision plugin may scale it first).
        clip: bounds the gradients before the optimizers use them.
    """

    optimizers: Sequence[Steppable]
    backward: Callable[[Tensor], None]
    clip: Callable[[], None]


def training_step(
    forward: Forward,
    x: Tensor,
    update: Update,
    *,
    epoch: Tensor | None,
    complete: bool = True,
    share: float = 1.0,
    generator: torch.Generator | None = None,
) -> Terms:
    """Train on one batch.

    Args:
        forward: noise, encoder, latent, decoder and loss.
        x: clean examples as the model sees them. Shape: [B, ...].
        update: how the objective becomes new weights.
        epoch: epochs trained so far, fractions included: a scalar, for weights that warm up.
        complete: whether this batch completes an accumulated step, so that the optimizers run.
        share: of this batch in the step: one over the number of batches that make it.
        generator: where noise and samples come from; None for torch's own.

    Returns:
        The terms before the update, detached.
    """
    _, terms = forward(x, generator=generator, epoch=epoch)
    update.backward(terms.objective if share == 1.0 else terms.objective * share)
    if complete:
        update.clip()
        for optimizer in update.optimizers:
            optimizer.step()
            optimizer.zero_grad()
    return Terms(
        terms.objective.detach(),
        terms.reconstruction.detach(),
        {name: value.detach() for name, value in terms.values.items()},
        terms.weights,
    )
