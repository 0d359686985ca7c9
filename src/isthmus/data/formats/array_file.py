"""An array in a .npy or .npz file, opened on first use in each process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from isthmus.data.formats.mapped_array import MappedArray
from isthmus.data.formats.npy import map_npy
from isthmus.data.formats.npz import PackedArray, open_array


class ArrayFile:
    """Pickled without the values: worker processes map the file themselves.

    Args:
        path: the file.
        name: of the array in an .npz file; None for a .npy file.

    Raises:
        ValueError: from `array`; see `map_npy` and `open_array`.
    """

    def __init__(self, path: Path, name: str | None = None) -> None:
        self.path, self.name = path.absolute(), name
        self._array: np.ndarray | MappedArray | PackedArray | None = None

    @property
    def array(self) -> np.ndarray | MappedArray | PackedArray:
        """The array, opened on first use. Shape: as stored."""
        if self._array is None:
            self._array = map_npy(self.path) if self.name is None else open_array(self.path, self.name)
        return self._array

    @property
    def mapped(self) -> bool:
        """Whether the array is memory-mapped."""
        return isinstance(self.array, MappedArray)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_array": None}
