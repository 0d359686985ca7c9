"""OpenMP threads of background threads."""

from __future__ import annotations

import torch


def without_openmp() -> None:
    """Run PyTorch's operations of the current thread without OpenMP threads. Call it first in the thread.

    Each thread that runs parallel operations has its own OpenMP threads. If there are more of these than
    cores, libgomp's threads sleep between operations instead of spinning, and training, whose operations are
    short, takes two to four times as long.
    """
    torch.set_num_threads(1)  # of this thread, and of threads that start later
