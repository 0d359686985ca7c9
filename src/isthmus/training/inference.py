"""Deterministic codes and errors of clean examples."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss
from torch.utils.data import DataLoader

from isthmus.core.types import Batch
from isthmus.training.module import AutoencoderModule


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients; restores the mode of each module."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for part, training in modes:
            part.training = training


def encode_all(module: AutoencoderModule, loader: DataLoader[Batch]) -> dict[str, Tensor]:
    """Encode every example of `loader`, whose batches have one size except for a smaller last one.

    Returns:
        On the CPU: ``ids``, the row of each example in its source, [N]; ``codes``, float32 [N, D]; ``mse``,
        the mean squared error of each reconstruction, which is its anomaly score, float32 [N]; and ``std``,
        [N, D], where the latent is probabilistic.
    """
    whole: dict[str, Tensor] = {}
    made = 0
    with evaluating(module):
        for batch in loader:
            for name, values in _encoded(module, batch).items():
                if name not in whole:
                    # concatenation at the end would take twice the memory
                    whole[name] = values.new_empty(len(loader) * len(values), *values.shape[1:], device="cpu")
                whole[name][made : made + len(values)] = values
            made += len(batch.rows)
    return {name: values[:made] for name, values in whole.items()}


def _encoded(module: AutoencoderModule, batch: Batch) -> dict[str, Tensor]:
    x = module.scaling(batch.x.to(module.device))
    code = module.autoencoder.encode(x)
    errors = mse_loss(module.autoencoder.decode(code.z), x, reduction="none")
    found = {"ids": batch.rows, "codes": code.z.float(), "mse": errors.flatten(1).mean(1).float()}
    if code.posterior is not None:
        found["std"] = (0.5 * code.posterior.log_var).exp()
    return found
