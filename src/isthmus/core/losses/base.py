"""Interface of a reconstruction loss, which also maps the decoder's raw output to a reconstruction."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from isthmus.common.errors import BadInput, one_of
from isthmus.core.types import FeatureSpan


def identity(raw: Tensor) -> Tensor:
    """Return raw outputs unchanged. A lambda could not be pickled with the model."""
    return raw


OUTPUT_ACTIVATIONS: dict[str, tuple[Callable[[Tensor], Tensor], float, float]] = {
    "identity": (identity, -float("inf"), float("inf")),
    "sigmoid": (torch.sigmoid, 0.0, 1.0),
    "tanh": (torch.tanh, -1.0, 1.0),
}


class Loss(nn.Module, ABC):
    """Compares the decoder's raw output with the clean example.

    Args:
        reduction: over the features of one example: ``sum``, or ``mean`` as in nn.MSELoss. Over the batch it
            is always the mean.
        output_activation: maps raw outputs to the reconstruction: identity, sigmoid or tanh.
    """

    def __init__(self, *, reduction: str, output_activation: str = "identity") -> None:
        super().__init__()
        self.reduction = one_of("reduction", reduction, ("sum", "mean"))
        self.output_activation = one_of("output_activation", output_activation, tuple(OUTPUT_ACTIVATIONS))
        self._activate, self.low, self.high = OUTPUT_ACTIVATIONS[self.output_activation]

    @abstractmethod
    def elementwise(self, raw: Tensor, x: Tensor) -> Tensor:
        """The loss of each feature. Shapes: [B, ...], [B, ...] -> [B, ...]."""

    def forward(self, raw: Tensor, x: Tensor) -> Tensor:
        """The loss of each example. Shapes: [B, ...], [B, ...] -> [B]."""
        if raw.dtype in (torch.bfloat16, torch.float16):
            raw, x = raw.float(), x.float()  # half precision is too coarse for sums over features
        losses = self.elementwise(raw, x).flatten(1)
        return losses.sum(1) if self.reduction == "sum" else losses.mean(1)

    def reconstruction(self, raw: Tensor) -> Tensor:
        """Raw outputs as a reconstruction of x. Shape: [B, ...]."""
        return self._activate(raw)

    def set_spans(self, spans: Sequence[FeatureSpan]) -> None:
        """Tell which features are categories or true/false; losses that treat all alike ignore it."""

    def check(self, value_range: tuple[float, float]) -> None:
        """Raise `BadInput` if the output activation cannot reach all of `value_range`."""
        low, high = value_range
        if low < self.low or high > self.high:
            raise BadInput(
                "output_activation",
                self.output_activation,
                f"gives values in [{self.low:g}, {self.high:g}], but the data lie in [{low:g}, {high:g}]; "
                "use loss.output_activation=identity",
            )
