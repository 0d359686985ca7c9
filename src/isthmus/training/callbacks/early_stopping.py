"""Early stopping, from the keys of callbacks.early_stopping."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytorch_lightning.callbacks import EarlyStopping as LightningEarlyStopping


class EarlyStopping(LightningEarlyStopping):
    """A checkpoint tells what happened so far; the patience from now on is that of the config."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict({**state_dict, "patience": self.patience})


def early_stopping(keys: Mapping[str, Any], *, mode: str) -> EarlyStopping:
    """From the keys of callbacks.early_stopping. Divergence is noticed elsewhere, with its step."""
    return EarlyStopping(
        monitor=keys["monitor"],
        mode=mode,
        patience=keys["patience"],
        min_delta=keys["min_delta"],
        check_finite=False,
        # the means of an epoch are there at its end, and after its validation
        check_on_train_epoch_end=True if keys["monitor"].startswith("train/") else None,
    )
