"""scikit-learn's handwritten digits: 1,797 grey images of 8 x 8 pixels, bundled with scikit-learn.

The test set of the UCI "Optical recognition of handwritten digits" data (Alpaydin and Kaynak 1998).
"""

from __future__ import annotations

import torch

from isthmus.data.source import TensorSource

HIGHEST = 16  # pixels are counts from 0 to 16


class Digits(TensorSource):
    """Images [1, 8, 8] in [0, 1], labels 0 to 9. Takes no arguments."""

    def __init__(self) -> None:
        # imported here, because it takes a second
        from sklearn.datasets import load_digits

        bunch = load_digits()
        images = torch.from_numpy(bunch.images).to(torch.uint8).unsqueeze(1)
        super().__init__(
            images,
            unit=1 / HIGHEST,
            value_range=(0.0, 1.0),
            labels=torch.from_numpy(bunch.target).long(),
            label_names=[str(digit) for digit in range(10)],
        )
