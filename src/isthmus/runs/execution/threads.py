"""Restore the CPU thread count of a run: it sets the order of summation, and so the exact results."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from omegaconf import DictConfig

from isthmus.runs.folder.provenance import recorded_threads


def threads_to_restore(cfg: DictConfig, provenance: Mapping[str, Any], *, processes: int) -> int | None:
    """CPU threads per process of a run, at most one per core; None if `cfg` sets it or none is recorded.

    Args:
        cfg: the config to train.
        provenance: of the run.
        processes: number of training processes.
    """
    recorded = recorded_threads(provenance, processes=processes)
    if cfg.trainer.threads is not None or recorded is None:
        return None
    return min(recorded, os.cpu_count() or 1)


@contextmanager
def threads_restored(threads: int | None) -> Iterator[None]:
    """Set the thread count of this process and its children; None changes nothing."""
    before = os.environ.get("OMP_NUM_THREADS")
    if threads is not None:
        os.environ["OMP_NUM_THREADS"] = str(threads)
    try:
        yield
    finally:
        os.environ.pop("OMP_NUM_THREADS", None)
        if before is not None:
            os.environ["OMP_NUM_THREADS"] = before
