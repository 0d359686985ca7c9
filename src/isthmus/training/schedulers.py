"""Learning-rate schedules, over PyTorch's schedulers."""

from __future__ import annotations

import math
from typing import Any, Protocol

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau

from isthmus.common.errors import check_float, check_int


class Schedule(Protocol):
    """Builds the `lr_scheduler` entry that Lightning's configure_optimizers returns, or None."""

    def build(self, optimizer: Optimizer, total_steps: int) -> dict[str, Any] | None: ...


class Constant:
    """The learning rate stays as it is."""

    def build(self, optimizer: Optimizer, total_steps: int) -> None:
        return None


class Cosine:
    """Linear warm-up, then half a cosine (Loshchilov and Hutter, arXiv:1608.03983), stepped per batch.

    Args:
        warmup: fraction of all steps spent warming up, in [0, 1).
        final: last learning rate as a fraction of the first, in [0, 1].
    """

    def __init__(self, *, warmup: float, final: float) -> None:
        self.warmup = check_float("warmup", warmup, least=0.0, below=1.0)
        self.final = check_float("final", final, least=0.0, most=1.0)

    def factor(self, step: int, total_steps: int) -> float:
        """Factor of the learning rate at `step` of `total_steps`."""
        warmup_steps = round(self.warmup * total_steps)
        if step < warmup_steps:
            return (step + 1) / warmup_steps
        progress = min(1.0, (step - warmup_steps) / max(1, total_steps - warmup_steps))
        return self.final + (1 - self.final) * 0.5 * (1 + math.cos(math.pi * progress))

    def build(self, optimizer: Optimizer, total_steps: int) -> dict[str, Any]:
        scheduler = LambdaLR(optimizer, lambda step: self.factor(step, total_steps))
        return {"scheduler": scheduler, "interval": "step"}


class Plateau:
    """Multiplies the learning rate when the watched loss stops falling, stepped per validation.

    Args:
        factor: in (0, 1).
        patience: epochs without a better value, at least 0.
        min_lr: lowest learning rate.
    """

    def __init__(self, *, factor: float, patience: int, min_lr: float) -> None:
        self.factor = check_float("factor", factor, above=0.0, below=1.0)
        self.patience = check_int("patience", patience, least=0)
        self.min_lr = check_float("min_lr", min_lr, least=0.0)

    def build(self, optimizer: Optimizer, total_steps: int) -> dict[str, Any]:
        scheduler = ReduceLROnPlateau(
            optimizer,
            factor=self.factor,
            patience=self.patience,
            min_lr=self.min_lr,
            threshold=0.0,  # the default is relative, and treats any negative loss as an improvement
            threshold_mode="abs",
        )
        return {"scheduler": scheduler, "interval": "epoch"}
