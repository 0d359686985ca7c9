"""Reads a checkpoint file, and checks that it is one of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from isthmus.training.checkpoint.io import read_checkpoint
from isthmus.training.checkpoint.validation import is_count
from isthmus.training.progress import KEY, Progress

CONFIG = "config"  # key in a checkpoint


class NotOfARun(ValueError):
    """A file that is readable but no checkpoint of a run."""


@dataclass(frozen=True)
class ResumePoint:
    """From where training resumes.

    Attributes:
        position: in training.
        processes: that trained up to here.
        rows: of metrics.csv at that time.
        event_sizes: of the event files at that time, by name, in bytes.
        limits: values of trainer.max_epochs and max_steps with which training ended here; or None.
    """

    position: Progress
    processes: int
    rows: int
    event_sizes: Mapping[str, int]
    limits: list[int] | None

    def is_end(self, *, max_epochs: int, max_steps: int) -> bool:
        """Whether training with these limits would end here, possibly by early stopping."""
        return self.limits == [max_epochs, max_steps] or (
            self.limits is not None and 0 <= max_steps <= self.position.step
        )


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint of a run.

    Attributes:
        path: of the file.
        content: everything in it, as Lightning wrote it.
        weights: the state dict of the module; `check_weights` checks its content.
        epoch: number of the epoch that the weights are from, from 1.
        step: optimizer steps made.
        config: the dotted keys that define the model and its data; empty in older checkpoints.
    """

    path: Path
    content: dict[str, Any]
    weights: Mapping[str, Tensor]
    epoch: int
    step: int
    config: Mapping[str, Any]

    @classmethod
    def read(cls, path: Path) -> Checkpoint:
        """Read a checkpoint, which may come from anyone. Raises as `read_checkpoint` does.

        Raises:
            NotOfARun: the file is intact, but is no checkpoint of a run.
        """
        content = read_checkpoint(path)
        weights, config = content.get("state_dict"), content.get(CONFIG, {})
        if not isinstance(weights, dict):
            raise NotOfARun(f"{path.name} is no checkpoint of a run: it holds no weights")
        epoch, step = content.get("epoch"), content.get("global_step")
        if not (is_count(epoch) and is_count(step) and isinstance(config, dict)):
            raise NotOfARun(f"{path.name} is no checkpoint of a run")
        return cls(path, content, weights, int(epoch) + 1, step, config)

    @property
    def metrics(self) -> Mapping[str, float]:
        """What the last epoch logged, by name."""
        return dict(self.content["metrics"])

    def resume_point(self) -> ResumePoint | None:
        """From where training resumes; None without valid state for that."""
        parts: list[Any] = [self.content.get(key) for key in (KEY, "logs", "callbacks")]
        if not all(isinstance(part, dict) for part in parts):
            return None
        place, logs, callbacks = parts
        if not all(isinstance(state, dict) for state in callbacks.values()):
            return None
        events, means = logs.get("events", {}), place.get("means")
        processes = place.get("processes")
        entries = processes if place.get("batch") else 1  # between epochs there are no means
        if not isinstance(events, dict) or not isinstance(means, list) or len(means) != entries:
            return None
        counts = [place.get(name) for name in Progress._fields]
        if not all(map(is_count, (*counts, logs.get("metrics"), *events.values()))):
            return None
        limits = callbacks.get("Checkpoints", {}).get("finished")
        return ResumePoint(Progress(*counts), processes, logs["metrics"], events, limits)
