"""The split of the rows into training, validation and test set."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from isthmus.common.errors import BadInput
from isthmus.data.source import sha256_of


class Split(NamedTuple):
    """Row numbers, disjoint. Shapes: [*], int64, val and test ascending."""

    train: Tensor
    val: Tensor
    test: Tensor

    def fingerprint(self) -> str:
        """SHA-256 of the three lists of rows."""
        return sha256_of(*(rows for part in self for rows in (torch.tensor([len(part)]), part)))


def amount(key: str, size: object, total: int) -> int:
    """A fraction (float in [0, 1)) or count (int) of `total` rows as a count."""
    if isinstance(size, float) and 0 <= size < 1:
        return max(1, round(size * total)) if size else 0
    if isinstance(size, int) and not isinstance(size, bool) and 0 <= size < total:
        return size
    raise BadInput(key, size, f"must be a fraction in [0, 1) or a count below the {total} rows there are")


def draw_split(
    rows: int, *, test_rows: Tensor | None, val_size: float | int, test_size: float | int | None, seed: int
) -> Split:
    """Draw a random split, which depends only on these arguments.

    Args:
        rows: N, including official test rows.
        test_rows: the official test rows, or None to draw them.
        val_size: fraction of the rows that are not official test rows, or a count; 0 for none.
        test_size: the same for the test set; None if it is official.
        seed: of the permutation.

    Raises:
        BadInput: a size is invalid, or no row is left for training.
    """
    if test_rows is None:
        pool = torch.arange(rows)
    else:
        kept = torch.ones(rows, dtype=torch.bool)
        kept[test_rows] = False
        pool = kept.nonzero().squeeze(1)
    pool = pool[torch.randperm(len(pool), generator=torch.Generator().manual_seed(seed))]
    if test_rows is None:
        drawn = amount("test_size", test_size, len(pool))
        test_rows = pool[:drawn]
    else:
        drawn = 0
    val = amount("val_size", val_size, len(pool))
    if drawn + val >= len(pool):
        larger = ("val_size", val_size) if val >= drawn else ("test_size", test_size)
        raise BadInput(
            *larger,
            f"leaves nothing to train on: {val} of {len(pool)} rows to validate "
            f"and {drawn} to test; make val_size or test_size smaller",
        )
    return Split(
        pool[drawn + val :].sort().values, pool[drawn : drawn + val].sort().values, test_rows.sort().values
    )
