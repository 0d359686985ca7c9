"""Which rows the comparison with PCA is fitted on, and which it is scored on."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from isthmus.data.loading.splits import evenly_spaced
from isthmus.tasks.embedding.rows import PARTS, Rows

SCORED = 0.2  # of the rows of data that have no parts
MOST_FITTED, MOST_SCORED = 60_000, 10_000  # rows
MOST_VALUES = 64 << 20  # of the rows that are fitted on: they are held in memory as float32
FEWEST = 10  # rows that are divided


class Division(NamedTuple):
    """Positions among the rows, ascending.

    Attributes:
        fitted: rows that PCA, kNN and the linear probe are fitted on. Shape: [*], int64.
        scored: rows that everything is scored on. Shape: [*], int64.
        text: what they are.
    """

    fitted: np.ndarray
    scored: np.ndarray
    text: str


def divide(rows: Rows, features: int, *, seed: int) -> Division | None:
    """The run's training rows and its test rows; of other data, a random split, stratified if it can be.

    Args:
        rows: all of them.
        features: of a row.
        seed: of a random split.

    Returns:
        None if there are fewer than `FEWEST` rows.
    """
    count = len(rows.examples)
    if count < FEWEST:
        return None
    parts = [] if rows.parts is None else [np.flatnonzero(rows.parts == part) for part in range(len(PARTS))]
    held_out = next((part for part in (2, 1) if parts and len(parts[part])), None)
    if held_out is None:
        fitted, scored, how = _drawn(rows, seed)
        text = f"a random {1 - SCORED:.0%} of the rows, scored on the others{how}"
    else:
        fitted, scored = parts[0], parts[held_out]
        text = f"the run's training rows, scored on its {PARTS[held_out]} rows"
    most = [min(rows, max(1, MOST_VALUES // features)) for rows in (MOST_FITTED, MOST_SCORED)]
    chosen = [_some(each, limit) for each, limit in zip((fitted, scored), most, strict=True)]
    return Division(chosen[0], chosen[1], f"{text} ({len(chosen[0]):,} and {len(chosen[1]):,} rows)")


def _drawn(rows: Rows, seed: int) -> tuple[np.ndarray, np.ndarray, str]:
    from sklearn.model_selection import train_test_split

    count, labels = len(rows.examples), rows.examples.labels
    sizes = torch.zeros(0) if labels is None else labels.unique(return_counts=True)[1]
    # each class needs a row on both sides
    stratify = None
    if len(sizes) and int(sizes.min()) > 1 and len(sizes) <= int(SCORED * count):
        stratify = labels
    fitted, scored = train_test_split(
        np.arange(count), test_size=SCORED, random_state=seed, stratify=stratify
    )
    return np.sort(fitted), np.sort(scored), "" if stratify is None else ", stratified by class"


def _some(positions: np.ndarray, most: int) -> np.ndarray:
    return evenly_spaced(torch.from_numpy(positions), most).numpy()
