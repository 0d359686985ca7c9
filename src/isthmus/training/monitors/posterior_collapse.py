"""Notices a latent that carries nothing: posterior collapse (Bowman et al. 2016, arXiv:1511.06349)."""

from __future__ import annotations

import logging

from torch import Tensor

logger = logging.getLogger(__name__)

COLLAPSED = 0.1  # fraction of active units below which a latent counts as collapsed
PATIENCE = 5  # validations in a row: at first no unit is active anywhere
MOST_CURVES = 64  # dimensions; of wider codes the histogram alone is logged


class CollapseWarning:
    """Warns once when hardly any unit is active.

    Args:
        after_epochs: until the weights have warmed up, inactive units mean nothing.
    """

    def __init__(self, *, after_epochs: float) -> None:
        self.after_epochs = after_epochs
        self._warned = False
        self._in_a_row = 0

    def look(self, active: int, kl: Tensor, *, epoch: int, final: bool) -> None:
        """Judge the latent after so many epochs.

        Args:
            active: number of active units.
            kl: per dimension, in nats. Shape: [D].
            epoch: epochs trained.
            final: whether training is over, so that there is nothing to wait for.
        """
        collapsed = epoch >= self.after_epochs and active < COLLAPSED * len(kl)
        self._in_a_row = self._in_a_row + 1 if collapsed else 0
        if self._warned or not collapsed or (self._in_a_row < PATIENCE and not final):
            return
        self._warned = True
        logger.warning(
            "warning: the latent has collapsed: %d of %d units are active, KL %.3g nats in all; "
            "try regularizer.kl.warmup_epochs=10, regularizer.kl.free_bits=0.1 or a smaller weight",
            active,
            len(kl),
            kl.sum().item(),
        )


def kl_record(kl: Tensor, stage: str) -> dict[str, Tensor]:
    """KL per dimension, [D], under the names it is logged by; nothing for very wide codes."""
    if len(kl) > MOST_CURVES:
        return {}
    return {f"{stage}_kl/{dimension:02d}": value for dimension, value in enumerate(kl)}
