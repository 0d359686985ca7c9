"""Early stopping."""

from __future__ import annotations

from typing import Any

from pytorch_lightning.callbacks import EarlyStopping as LightningEarlyStopping

from isthmus.common.errors import check_float, check_int
from isthmus.training.callbacks.run_callback import check_monitor, resolve_mode


class EarlyStopping(LightningEarlyStopping):
    """Stops training when a metric no longer improves. `DivergenceGuard` detects divergence, with its step.

    Args:
        monitor: a metric that every validation or every epoch logs.
        mode: min, max, or auto: whichever is better for the metric.
        patience: validations without a better value before training stops, at least 1.
        min_delta: smallest change that counts as better, at least 0.
    """

    def __init__(self, *, monitor: str, mode: str, patience: int, min_delta: float) -> None:
        super().__init__(
            monitor=check_monitor(monitor),
            mode=resolve_mode(mode, monitor),
            patience=check_int("patience", patience),
            min_delta=check_float("min_delta", min_delta, least=0.0),
            check_finite=False,
            # training means are known at the end of the epoch, after its validation
            check_on_train_epoch_end=True if monitor.startswith("train/") else None,
        )

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state, except for the patience, which the config sets."""
        super().load_state_dict({**state_dict, "patience": self.patience})
