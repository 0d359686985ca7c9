"""Decisions: which examples are anomalies, at a rate of false alarms, and which features say so."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from isthmus.common.errors import BadInput
from isthmus.core.detection.detector import threshold

USUAL_RATE = 0.01  # of false alarms


@dataclass(frozen=True)
class Detection:
    """The result of `TrainedModel.detect`.

    Attributes:
        score: larger is more anomalous; NaN for rows with a missing cell that the model does not know what to
            do with. Shape: [N].
        p_value: share of normal examples that have such a score or a larger one, as estimated from held-out
            ones; NaN like the score. Shape: [N].
        outlier: whether the score is above the threshold. Shape: [N]. An array of bool; if some rows have no
            score, one of objects, None for these, as in a column of pandas: they are neither normal nor
            outliers, and it is no mask. ``outlier[scored].astype(bool)`` is one.
        scored: which rows have a score. Shape: [N], bool.
        threshold: see `core.detection.detector.threshold`.
        false_alarm_rate: that the threshold was set for.
    """

    score: np.ndarray
    p_value: np.ndarray
    outlier: np.ndarray
    threshold: float
    false_alarm_rate: float

    @property
    def scored(self) -> np.ndarray:
        """See above."""
        return ~np.isnan(self.score)

    def _repr_html_(self) -> str:
        count, scored = np.count_nonzero(self.outlier), np.count_nonzero(self.scored)
        said = f"{count:,} of {scored:,} examples are outliers (false alarm rate {self.false_alarm_rate:g})"
        absent = len(self.score) - scored
        return said + (f"; {absent:,} have missing cells and no score" if absent else "")


class Judged(NamedTuple):
    """A batch of examples.

    Attributes:
        score: Shape: [B].
        p_value: see `Detection`. Shape: [B].
        share: see `TrainedModel.explain`. Shape: [B, ...].
    """

    score: np.ndarray
    p_value: np.ndarray
    share: Tensor


def decided(scores: Tensor, limit: float) -> np.ndarray:
    """`Detection.outlier`. Shape: [N]."""
    above, absent = (scores > limit).numpy(), scores.isnan().numpy()
    if not absent.any():
        return above
    found = above.astype(object)
    found[absent] = None
    return found


def p_values(scores: Tensor, held_out: Tensor) -> np.ndarray:
    """(1 + number of held-out scores that are as large) / (N + 1); NaN for NaN.

    Shapes: [B], [N] sorted -> [B].
    """
    below = torch.searchsorted(held_out, scores.contiguous(), right=False)
    found = (1 + len(held_out) - below).double() / (1 + len(held_out))
    return found.where(~scores.isnan(), math.nan).numpy()


def threshold_for(
    held_out: Tensor, rate: float | None, *, size: str = "data.val_size"
) -> tuple[float, float]:
    """The threshold for a rate of false alarms, and the rate.

    Args:
        held_out: sorted scores of held-out normal examples. Shape: [N].
        rate: None for `USUAL_RATE`, or the least rate that there are enough held-out examples for.
        size: what the number of validation rows is set by, for the message.

    Raises:
        BadInput: there are none, or too few for the rate; or it is no rate.
    """
    count = len(held_out)
    if not count:
        fix = (
            "the model has no thresholds, as its run had no validation rows: train it with data.val_size=0.1"
        )
        raise BadInput("false_alarm_rate", rate, fix)
    least = 1 / (count + 1)
    if rate is None:
        rate = max(USUAL_RATE, math.ceil(least * 1e4) / 1e4)
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 < rate < 1:
        raise BadInput("false_alarm_rate", rate, "must be a share above 0 and below 1, such as 0.01")
    found = threshold(held_out, rate)
    if math.isinf(found):
        fix = f"is too small for {count:,} validation rows, which allow rates from {least:.2g}; use a larger "
        raise BadInput("false_alarm_rate", rate, fix + f"one, or train with a larger {size}")
    return found, float(rate)


def rate_interval(count: int, rate: float) -> tuple[float, float]:
    """The range of the false alarm rate of a threshold that was set on `count` rows, with 95% probability.

    The rate of the k-th largest of n scores has a beta distribution, B(k, n + 1 - k): Vovk, "Conditional
    validity of inductive conformal predictors" (2012).
    """
    from scipy.stats import beta

    low, high = beta.ppf((0.025, 0.975), *_ranks(count, rate))
    return float(low), float(high)


def alarm_interval(count: int, rate: float, rows: int) -> tuple[int, int]:
    """The range of the number of false alarms among `rows` normal rows, with 95% probability.

    The rate is that of `rate_interval`, so the number has a beta-binomial distribution.
    """
    from scipy.stats import betabinom

    low, high = betabinom.ppf((0.025, 0.975), rows, *_ranks(count, rate))
    return int(low), int(high)


def _ranks(count: int, rate: float) -> tuple[int, int]:
    """The threshold among `count` sorted scores: its place from above, k, and from below, n + 1 - k."""
    above = count + 1 - math.ceil((count + 1) * (1 - rate) - 1e-9)
    return above, count + 1 - above
