"""Chooses the checkpoint to resume from, last.ckpt or else best.ckpt, and truncates the logs to it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isthmus.common.atomic_files import replacing
from isthmus.common.errors import BadInput
from isthmus.runs.folder.run_folder import RunFolder
from isthmus.training.checkpoint.content import Checkpoint, NotOfARun, ResumePoint
from isthmus.training.figures.pictures import PICTURES
from isthmus.training.loggers import event_files
from isthmus.training.progress import Progress
from isthmus.training.writers import metrics_csv


@dataclass
class Start:
    """The checkpoint that a run resumes from.

    Attributes:
        readable: the readable checkpoints, newest first.
        damaged: the damaged ones and their errors.
        point: from where the newest resumes.
    """

    readable: Sequence[Checkpoint]
    damaged: Mapping[Path, str]
    point: ResumePoint

    @property
    def checkpoint(self) -> Checkpoint:
        """The newest."""
        return self.readable[0]

    def release(self) -> dict[Path, dict[str, Any]]:
        """Hand over path and content of the newest checkpoint, and forget all checkpoints: training is not to
        keep their tensors in memory. The position stays.
        """
        content = {self.checkpoint.path: self.checkpoint.content}
        self.readable = ()
        return content

    @property
    def position(self) -> Progress:
        """The position in training."""
        return self.point.position


def newest(folder: RunFolder) -> Start | None:
    """The newest readable checkpoint, or None if there is no checkpoint yet.

    Raises:
        BadInput: if none of the checkpoints is readable, or one lacks the state for resuming.
    """
    readable: list[Checkpoint] = []
    damaged: dict[Path, str] = {}
    for name in ("last", "best"):
        path = folder.checkpoints / f"{name}.ckpt"
        if path.is_file():
            try:
                readable.append(Checkpoint.read(path))
            except NotOfARun:
                raise _not_resumable(path) from None
            except (OSError, ValueError) as error:
                damaged[path] = str(error)
    if not readable:
        if damaged:
            raise BadInput("RUN", folder.path, f"cannot be resumed: {'; '.join(damaged.values())}")
        return None
    points = [checkpoint.resume_point() for checkpoint in readable]
    for checkpoint, point in zip(readable, points, strict=True):
        if point is None:
            raise _not_resumable(checkpoint.path)
    assert points[0] is not None
    return Start(readable, damaged, points[0])


def _not_resumable(path: Path) -> BadInput:
    return BadInput(
        "RUN", path.parents[1], f"{path.name} does not tell how far training was; it cannot be resumed"
    )


def _truncate(path: Path, size: int) -> None:
    """Truncate a file in place, since TensorBoard may have it open; replace it if it is hard-linked."""
    if path.stat().st_nlink == 1:
        os.truncate(path, size)
        return
    with replacing(path) as beside:
        shutil.copyfile(path, beside)
        os.truncate(beside, size)


def rewind(folder: RunFolder, start: Start | None) -> None:
    """Truncate metrics.csv and the event files to their state at a checkpoint; without one, to nothing.

    Later entries will be logged again. Removes damaged checkpoints, results.json, reproduction.json, the
    marks of the best latents and the pictures of the whole run.
    """
    for path in start.damaged if start else ():
        path.unlink()
    metrics_csv.rewind(folder.metrics, start.point.rows if start else 0)
    sizes = start.point.event_sizes if start else {}
    for path in event_files(folder.path):
        size = sizes.get(path.name)
        if size is None:
            path.unlink()
        elif size < path.stat().st_size:
            _truncate(path, size)
    drawn = [folder.figures / f"{name}.png" for name in PICTURES]
    # the best may become another one; Latents marks it again
    best = folder.latents.glob("best_*.safetensors")
    for outdated in (folder.results, folder.reproduction, *drawn, *best):
        outdated.unlink(missing_ok=True)
