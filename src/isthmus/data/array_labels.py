"""Classes for the rows of an array, from an array of whole numbers or of text."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def classes_of(stored: np.ndarray, rows: int) -> tuple[Tensor, list[str] | None]:
    """Classes and, for text, their names in alphabetical order; whole numbers are classes as they are.

    Args:
        stored: integers, booleans or text. Shape: [N].
        rows: N.

    Returns:
        Classes [N], int64, and the name of each class or None.

    Raises:
        ValueError: another length, shape or type.
    """
    if stored.shape != (rows,):
        raise ValueError(f"has the shape {list(stored.shape)}; the data have {rows} rows, so give [{rows}]")
    if stored.dtype.kind in "biu":
        return torch.from_numpy(stored.astype(np.int64)), None
    if stored.dtype.kind not in "US":
        raise ValueError(f"holds values of type {stored.dtype}; labels are whole numbers or text")
    names, classes = np.unique(stored.astype(np.str_), return_inverse=True)
    return torch.from_numpy(classes.astype(np.int64)), names.tolist()
