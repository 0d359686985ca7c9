"""Detects posterior collapse, a latent without information (Bowman et al. 2016, arXiv:1511.06349)."""

from __future__ import annotations

import logging

from torch import Tensor

logger = logging.getLogger(__name__)

COLLAPSED = 0.1  # fraction of active units below which a latent counts as collapsed
PATIENCE = 5  # consecutive validations: at first no model has active units
MOST_CURVES = 64  # dimensions; wider codes are logged as a histogram only


class CollapseWarning:
    """Warns once when hardly any unit is active.

    Args:
        after_epochs: length of the warm-up, during which inactive units mean nothing.
    """

    def __init__(self, *, after_epochs: float) -> None:
        self.after_epochs = after_epochs
        self._warned = False
        self._in_a_row = 0

    def look(self, active: int, kl: Tensor, *, epoch: int, final: bool) -> None:
        """Check the latent after an evaluation.

        Args:
            active: number of active units.
            kl: per dimension, in nats. Shape: [D].
            epoch: epochs trained.
            final: whether training is over, so that the patience does not apply.
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
    """KL per dimension, [D], by log name; empty for more than `MOST_CURVES` dimensions."""
    if len(kl) > MOST_CURVES:
        return {}
    return {f"{stage}_kl/{dimension:02d}": value for dimension, value in enumerate(kl)}
