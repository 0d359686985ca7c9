"""Threads that work beside the training."""

from __future__ import annotations

import torch


def work_alone() -> None:
    """Have PyTorch's operations in this thread use this thread alone. To be called first in it.

    Each thread that runs an operation in parallel has a team of OpenMP threads of its own. With more of them
    than cores, libgomp's threads sleep between two operations instead of waiting, and the training, whose
    operations are short, takes two to four times as long.
    """
    torch.set_num_threads(1)  # of this thread, and of threads that begin later
