"""Rows that exported graphs are checked on, and shown with."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from isthmus.common.errors import BadInput
from isthmus.tasks.engine import Engine

COUNT = 256  # rows that are checked, at most
SHOWN = 5  # rows of the example


def validation_rows(run: Path) -> Tensor | None:
    """Validation rows of a run as values of its model; None for a packed model, or where the data are gone.

    Shape: [at most COUNT, ...].
    """
    if not run.is_dir():
        return None
    from isthmus.data.loading.splits import evenly_spaced
    from isthmus.runs.folder.run_folder import RunFolder
    from isthmus.runs.run_data import load_data

    try:
        data = load_data(RunFolder.open(run)).data
        rows = evenly_spaced(data.split.val, COUNT)
        return data.scaling(data.source.take(rows)) if len(rows) else None
    except BadInput:  # the data are elsewhere now
        return None


def samples(engine: Engine) -> Tensor:
    """Decoded random codes, within the range of the data. Shape: [COUNT, ...]."""
    generator = torch.Generator().manual_seed(0)
    if engine.is_fitted:
        codes = engine.detector.mixture.sample(COUNT, generator).cpu()
    else:
        codes = torch.randn(COUNT, engine.autoencoder.latent.dim, generator=generator)
    with torch.inference_mode():
        x = engine.autoencoder.decode(codes.to(engine.device, engine.dtype))
    return x.float().cpu().clamp(*engine.accepted.value_range)
