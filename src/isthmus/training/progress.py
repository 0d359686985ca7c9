"""The position in training at which a checkpoint was made, so that training resumes exactly from there.

Randomness is a function of (seed, epoch, batch), so the position suffices. Lightning counts calls of its
training step, each of which takes several batches; here batches are counted.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from isthmus.common.errors import BadInput

KEY = "position"  # key in a checkpoint


class Progress(NamedTuple):
    """A position in training.

    Attributes:
        epoch: the current one, or the next at the end of an epoch.
        batch: batches of it that this process has trained on.
        step: optimizer steps made in all.
    """

    epoch: int
    batch: int
    step: int


class PendingMeans(NamedTuple):
    """The means of an unfinished epoch.

    Attributes:
        sums: of the terms read so far. Shape: [terms].
        total: number of examples in `sums`. A scalar.
        terms: of the batches not read yet. Shape: [steps, terms].
        sizes: of these batches. Shape: [steps].
    """

    sums: Tensor
    total: Tensor
    terms: Tensor
    sizes: Tensor


def record(position: Progress, unread: PendingMeans) -> dict[str, Any]:
    """The checkpoint entry of a position; every process of the run calls this.

    Args:
        position: in training.
        unread: the means of this process.
    """
    means: list[Any] = [None]
    if position.batch:
        mine = {name: tensor.cpu() for name, tensor in unread._asdict().items()}
        means = [mine]
        if processes() > 1:
            means = [None] * processes()
            torch.distributed.all_gather_object(means, mine)
    return {**position._asdict(), "processes": processes(), "means": means}


def recorded(checkpoint: dict[str, Any], *, rank: int) -> tuple[Progress, PendingMeans | None]:
    """The position in a checkpoint, and the means of process `rank` if it is within an epoch.

    Raises:
        BadInput: it is within an epoch that another number of processes trained.
    """
    found = checkpoint[KEY]
    position = Progress(found["epoch"], found["batch"], found["step"])
    if not position.batch:
        return position, None
    check_processes(position, found["processes"], processes())
    return position, PendingMeans(**found["means"][rank])


def check_processes(position: Progress, began: int, count: int) -> None:
    """Raise `BadInput` for a position within an epoch that another number of processes trained.

    Args:
        position: in training.
        began: processes that trained up to there.
        count: processes that would resume.
    """
    if position.batch and began != count:
        raise BadInput(
            "trainer.devices",
            count,
            f"cannot resume in the middle of an epoch that {began} processes began; use as many",
        )


def processes() -> int:
    """The number of training processes."""
    distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
    return torch.distributed.get_world_size() if distributed else 1


def loop_state(position: Progress, *, calls: int) -> dict[str, Any]:
    """The state of Lightning's fit loop at a position.

    Args:
        position: in training.
        calls: of the training step in this epoch.
    """
    epoch, batch, step = position
    begun = epoch + 1 if batch else epoch
    epochs = {"ready": begun, "started": begun, "processed": epoch, "completed": epoch}
    batches = {"ready": calls, "started": calls, "processed": calls, "completed": calls}
    steps = {"ready": step, "completed": step}
    return {
        "state_dict": {},
        "epoch_progress": {"total": epochs, "current": dict(epochs)},
        "epoch_loop.state_dict": {},
        "epoch_loop.batch_progress": {
            "total": batches,
            "current": dict(batches),
            "is_last_batch": False,
        },
        "epoch_loop.manual_optimization.optim_step_progress": {"total": steps, "current": dict(steps)},
    }
