"""Codes and errors of many examples, as a trained model is used: clean, without chance."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from isthmus.core.types import Batch
from isthmus.training.module import AutoencoderModule


@contextmanager
def evaluating(module: AutoencoderModule) -> Iterator[None]:
    """Evaluation mode without gradients; the mode before comes back."""
    training = module.training
    module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        module.train(training)


def encode_all(module: AutoencoderModule, loader: Iterable[Batch]) -> dict[str, Tensor]:
    """Encode every example of `loader`.

    Returns:
        On the CPU: ``ids``, the row of each example in its source, [N]; ``codes``, float32 [N, D]; ``mse``,
        the mean squared error of each reconstruction, which is its anomaly score, [N]; and ``std``, [N, D],
        where the code has a distribution.
    """
    parts: dict[str, list[Tensor]] = {"ids": [], "codes": [], "mse": []}
    autoencoder = module.autoencoder
    with evaluating(module):
        for batch in loader:
            x = module.scaling(batch.x.to(module.device))
            code = autoencoder.encode(x)
            reconstruction = autoencoder.decode(code.z)
            parts["ids"].append(batch.rows)
            parts["codes"].append(code.z.float().cpu())
            parts["mse"].append((reconstruction - x).float().square().flatten(1).mean(1).cpu())
            if code.posterior is not None:
                parts.setdefault("std", []).append((0.5 * code.posterior.log_var).exp().cpu())
    return {name: torch.cat(tensors) for name, tensors in parts.items()}
