"""CPU threads, as many as a run began with: they decide the order of sums, and so the bits."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from omegaconf import DictConfig

from isthmus.runs.comparison.provenance_diff import recorded_threads


def threads_to_restore(cfg: DictConfig, provenance: Mapping[str, Any], *, processes: int) -> int | None:
    """CPU threads of each process of a run, at most one for each core; None where `cfg` says how many, or
    nothing is recorded.

    Args:
        cfg: that is trained now.
        provenance: of the run.
        processes: that train together.
    """
    recorded = recorded_threads(provenance, processes=processes)
    if cfg.trainer.threads is not None or recorded is None:
        return None
    return min(recorded, os.cpu_count() or 1)


@contextmanager
def threads_restored(threads: int | None) -> Iterator[None]:
    """Set the threads for this process and those that it starts; None changes nothing."""
    before = os.environ.get("OMP_NUM_THREADS")
    if threads is not None:
        os.environ["OMP_NUM_THREADS"] = str(threads)
    try:
        yield
    finally:
        os.environ.pop("OMP_NUM_THREADS", None)
        if before is not None:
            os.environ["OMP_NUM_THREADS"] = before
