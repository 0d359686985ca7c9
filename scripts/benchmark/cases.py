"""The training cases: the same network, data, batches and optimizer for every contestant."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from networks import (
    ConvVAE,
    Objective,
    mean_square,
    mlp,
    negative_elbo,
    summed_square,
    through,
    through_mean,
)
from torch import nn

LEARNING_RATE = 1e-3  # of Adam, everywhere


@dataclass(frozen=True)
class Case:
    """One training case.

    Attributes:
        name: on the command line.
        title: in the report.
        overrides: what makes `isthmus train` do it; nothing is held out to choose a model.
        batch: images in a batch.
        epochs: of a turn.
        network: makes the hand-written network with fresh weights.
        objective: what it minimises.
        reconstruct: without chance.
        flat: whether the network takes rows of pixels, not images.
    """

    name: str
    title: str
    overrides: tuple[str, ...]
    batch: int
    epochs: int
    network: Callable[[], nn.Module]
    objective: Objective
    reconstruct: Objective
    flat: bool


CASES = {
    case.name: case
    for case in (
        Case(
            name="textbook",
            title="784-256-32-256-784, MSE, batches of 128, Fashion-MNIST",
            overrides=("experiment=textbook",),
            batch=128,
            epochs=5,
            network=partial(mlp, 784, 256, 32, sigmoid=True),
            objective=mean_square,
            reconstruct=through,
            flat=True,
        ),
        Case(
            name="conv_vae",
            title="convolutional VAE, latent of 16, cross-entropy, batches of 128, Fashion-MNIST",
            overrides=("experiment=fashion_vae", "data.val_size=0"),
            batch=128,
            epochs=1,
            network=partial(ConvVAE, 16),
            objective=negative_elbo,
            reconstruct=through_mean,
            flat=False,
        ),
        Case(
            name="digits",
            title="64-256-16-256-64, squared error, batches of 32, scikit-learn's digits",
            overrides=("data=digits", "data.val_size=0"),
            batch=32,
            epochs=100,
            network=partial(mlp, 64, 256, 16, sigmoid=False),
            objective=summed_square,
            reconstruct=through,
            flat=True,
        ),
    )
}
