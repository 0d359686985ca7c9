"""Where in training a checkpoint was made, so that training goes on from there as if nothing had been.

Randomness is a function of (seed, epoch, batch), so a place is all that has to be known. Lightning counts
calls of its training step, of which each takes several batches; here batches are counted.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from isthmus.common.errors import BadInput

KEY = "position"  # in a checkpoint


class Progress(NamedTuple):
    """A place in training.

    Attributes:
        epoch: that is going on, or about to begin.
        batch: batches of it that this process has trained on.
        step: optimizer steps made in all.
    """

    epoch: int
    batch: int
    step: int


class PendingMeans(NamedTuple):
    """The means of an epoch that is going on.

    Attributes:
        sums: of the terms that were read. Shape: [terms].
        total: of the examples that these are of. A scalar.
        terms: of the steps that were not read yet. Shape: [steps, terms].
        sizes: of their batches. Shape: [steps].
    """

    sums: Tensor
    total: Tensor
    terms: Tensor
    sizes: Tensor


def record(position: Progress, unread: PendingMeans) -> dict[str, Any]:
    """What a checkpoint holds of a place; every process of the run calls this.

    Args:
        position: the place.
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
    """The place at which a checkpoint was made, and the means of process `rank`, if an epoch was going on.

    Raises:
        BadInput: in the middle of an epoch that another number of processes trained.
    """
    found = checkpoint[KEY]
    position = Progress(found["epoch"], found["batch"], found["step"])
    if not position.batch:
        return position, None
    check_processes(found, processes())
    return position, PendingMeans(**found["means"][rank])


def check_processes(found: dict[str, Any], count: int) -> None:
    """Raise `BadInput` where an epoch was going on, which another number of processes trained.

    Args:
        found: the place that a checkpoint tells of, as `record` made it.
        count: processes that would go on.
    """
    began = found.get("processes")
    if found["batch"] and began != count:
        raise BadInput(
            "trainer.devices",
            count,
            f"cannot go on in the middle of an epoch that {began} processes began; use as many",
        )


def processes() -> int:
    """How many train together."""
    distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
    return torch.distributed.get_world_size() if distributed else 1


def loop_state(position: Progress, *, calls: int) -> dict[str, Any]:
    """The state of Lightning's fit loop at a place.

    Args:
        position: the place.
        calls: of the training step that this epoch has had.
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
