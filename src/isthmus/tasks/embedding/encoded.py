"""All rows through the model once; codes and errors are kept, and the values of some rows."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from isthmus.common.errors import BadInput
from isthmus.tasks.embedding.rows import Rows
from isthmus.tasks.trained_model import TrainedModel


class Encoded(NamedTuple):
    """Rows through the model.

    Attributes:
        codes: Shape: [N, D], float32.
        mse: mean squared error per feature of each reconstruction. Shape: [N], float32.
        kept: positions of the rows whose values are kept, ascending. Shape: [K].
        x: their values, as those of the model. Shape: [K, ...], float32.
    """

    codes: np.ndarray
    mse: np.ndarray
    kept: np.ndarray
    x: Tensor

    def values(self, positions: np.ndarray) -> Tensor:
        """Values of some of the kept rows. Shape: [*, ...]."""
        return self.x[torch.from_numpy(np.searchsorted(self.kept, positions))]


def encode(model: TrainedModel, rows: Rows, kept: np.ndarray) -> Encoded:
    """Pass all rows through the model, in batches.

    Args:
        model: the trained model.
        rows: N of them.
        kept: positions of the rows whose values are needed, ascending. Shape: [K].

    Raises:
        BadInput: a row cannot be read, or its code is not finite.
    """
    count = len(rows.examples)
    codes, mse = np.empty((count, model.latent_dim), np.float32), np.empty(count, np.float32)
    x = torch.empty(len(kept), *model.shape)
    start = 0
    for batch in model.coded(rows.examples):
        stop = start + len(batch.mse)
        codes[start:stop], mse[start:stop] = batch.codes.numpy(), batch.mse.numpy()
        first, last = np.searchsorted(kept, (start, stop))
        x[first:last] = batch.x[torch.from_numpy(kept[first:last] - start)]
        if not bool(batch.codes.isfinite().all()):
            bad = start + int((~batch.codes.isfinite()).any(1).nonzero()[0])
            (row,) = rows.examples.row_numbers(slice(bad, bad + 1))
            raise BadInput(
                "DATA", f"row {row}", "has a code that is not finite; are its values far too large?"
            )
        start = stop
    return Encoded(codes, mse, kept, x)
