"""Early stopping, from the keys of callbacks.early_stopping."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytorch_lightning.callbacks import EarlyStopping as LightningEarlyStopping


class EarlyStopping(LightningEarlyStopping):
    """Restores its state from a checkpoint, except for the patience, which the config sets."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict({**state_dict, "patience": self.patience})


def early_stopping(keys: Mapping[str, Any], *, mode: str) -> EarlyStopping:
    """From the keys of callbacks.early_stopping. `DivergenceGuard` detects divergence, with its step."""
    return EarlyStopping(
        monitor=keys["monitor"],
        mode=mode,
        patience=keys["patience"],
        min_delta=keys["min_delta"],
        check_finite=False,
        # training means are known at the end of the epoch, after its validation
        check_on_train_epoch_end=True if keys["monitor"].startswith("train/") else None,
    )
