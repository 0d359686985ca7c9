"""Noise, forward, loss and backward as Python and autograd run them.

Captured steps are compared with `differentiate`, and replace it; everything else trains with it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from isthmus.core.autoencoder import Autoencoder


class Gradients(NamedTuple):
    """The terms of a batch, and the gradients of its objective.

    Attributes:
        terms: loss, reconstruction, then each regularizer's value, detached. Shape: [T].
        of: one gradient for each trained parameter, or None for a parameter without one. The whole list is
            None if the gradients are in the parameters' ``grad`` already.
    """

    terms: Tensor
    of: list[Tensor | None] | None


def trained(module: nn.Module) -> list[nn.Parameter]:
    """The parameters that require gradients."""
    return [parameter for parameter in module.parameters() if parameter.requires_grad]


def objective_and_terms(
    autoencoder: Autoencoder, x: Tensor, epoch: Tensor | None, share: float
) -> tuple[Tensor, Tensor]:
    """The scalar to differentiate, and the terms. Shapes: [], [T].

    Args:
        autoencoder: noise, encoder, latent, decoder and loss.
        x: clean examples as the model sees them. Shape: [B, ...].
        epoch: epochs trained so far, fractions included: a scalar, for weights that warm up.
        share: of this batch in the optimizer step: one over the number of accumulated batches.
    """
    _, terms = autoencoder(x, epoch=epoch)
    objective = terms.objective if share == 1.0 else terms.objective * share
    return objective, torch.stack([value.detach() for value in terms.named().values()])


def differentiate(
    autoencoder: Autoencoder, parameters: Sequence[Tensor], x: Tensor, epoch: Tensor | None, share: float
) -> Gradients:
    """The gradients that `backward` leaves in ``grad``, each in new memory with its parameter's strides.

    See `objective_and_terms` for the arguments; ``grad`` keeps its value.
    """
    held = [parameter.grad for parameter in parameters]
    for parameter in parameters:
        parameter.grad = None
    try:
        with torch.enable_grad():
            objective, terms = objective_and_terms(autoencoder, x, epoch, share)
            objective.backward(inputs=parameters)
        return Gradients(terms, [parameter.grad for parameter in parameters])
    finally:
        for parameter, gradient in zip(parameters, held, strict=True):
            parameter.grad = gradient


class EagerGradients:
    """Computes gradients by autograd, which adds them to ``grad``.

    Args:
        autoencoder: in training mode, on its device.
        backward: computes the gradients of a scalar; a precision plugin may scale it first.
    """

    compiled = False

    def __init__(self, autoencoder: Autoencoder, backward: Callable[[Tensor], None]) -> None:
        self.autoencoder = autoencoder
        self.backward = backward
        self.parameters = trained(autoencoder)

    def __call__(self, x: Tensor, epoch: Tensor | None, share: float) -> Gradients:
        objective, terms = objective_and_terms(self.autoencoder, x, epoch, share)
        self.backward(objective)
        return Gradients(terms, None)
