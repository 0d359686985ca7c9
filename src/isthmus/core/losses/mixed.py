"""A loss for tables of numbers and categories: for each column the one that suits it.

Numbers: squared error. The features of one category: cross-entropy -sum_k x_k log softmax(raw)_k. True and
false: binary cross-entropy on logits. This is the negative log-likelihood (up to constants) of a
heterogeneous decoder, with variance 1/2 for numbers: Nazabal, Olmos, Ghahramani and Valera, "Handling
incomplete heterogeneous data using VAEs" (arXiv:1807.03653).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from isthmus.core.losses.base import Loss
from isthmus.core.types import FeatureSpan


class Mixed(Loss):
    """Numbers by squared error, categories by cross-entropy. All features are numbers unless told otherwise.

    A category that is missing or was not in training has features of 0, and no loss.

    Args:
        reduction: see `Loss`.
    """

    def __init__(self, *, reduction: str) -> None:
        super().__init__(reduction=reduction)
        self.spans: tuple[FeatureSpan, ...] = ()

    def set_spans(self, spans: Sequence[FeatureSpan]) -> None:
        self.spans = tuple(spans)

    def elementwise(self, raw: Tensor, x: Tensor) -> Tensor:
        def loss(start: int, end: int, kind: str) -> Tensor:
            given, target = raw[:, start:end], x[:, start:end]
            if kind == "category":
                return -target * F.log_softmax(given, dim=1)
            if kind == "boolean":
                return F.binary_cross_entropy_with_logits(given, target, reduction="none")
            return (given - target).square()

        return torch.cat([loss(*span) for span in self._all(raw.shape[1])], dim=1)

    def reconstruction(self, raw: Tensor) -> Tensor:
        """Numbers, the probability of each category, and that of true. Shape: [B, F]."""

        def made(start: int, end: int, kind: str) -> Tensor:
            given = raw[:, start:end]
            return given.softmax(1) if kind == "category" else given.sigmoid() if kind == "boolean" else given

        return torch.cat([made(*span) for span in self._all(raw.shape[1])], dim=1)

    def _all(self, width: int) -> list[FeatureSpan]:
        """All features: the spans, and the numbers between them."""
        every, done = [], 0
        for span in self.spans:
            every += [FeatureSpan(done, span.start, "number")] if done < span.start else []
            every.append(span)
            done = span.end
        return [*every, FeatureSpan(done, width, "number")] if done < width else every
