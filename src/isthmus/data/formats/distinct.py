"""The distinct cells of a batch of a column."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa


class Distinct(NamedTuple):
    """The distinct cells, and where they are.

    Attributes:
        cells: as Python objects; None for a missing one. Length: D.
        first: the first row of each. Shape: [D].
        inverse: for each row, the position of its cell. Shape: [B].
        counts: the number of rows of each. Shape: [D].
    """

    cells: list[Any]
    first: np.ndarray
    inverse: np.ndarray
    counts: np.ndarray


def distinct(column: pa.Array) -> Distinct:
    """The distinct cells of a column, each converted once, as a text can be long."""
    import pyarrow as pa

    encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    indices = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    used, first, inverse, counts = np.unique(
        indices, return_index=True, return_inverse=True, return_counts=True
    )
    cells = [encoded.dictionary[at].as_py() if at >= 0 else None for at in used.tolist()]
    return Distinct(cells, first, inverse, counts)
