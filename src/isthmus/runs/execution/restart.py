"""Find the newest checkpoint of a run, and truncate its logs to it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from isthmus.common.atomic_files import replacing
from isthmus.common.errors import BadInput
from isthmus.runs.folder.run_folder import RunFolder
from isthmus.training.callbacks.checkpoints import CONFIG
from isthmus.training.checkpoint.io import read_checkpoint
from isthmus.training.checkpoint.validation import is_count
from isthmus.training.loggers import event_files
from isthmus.training.progress import KEY
from isthmus.training.writers import metrics_csv


class Start(NamedTuple):
    """The checkpoints that a run can resume from.

    Attributes:
        readable: the readable checkpoints and their content, newest first.
        damaged: the damaged ones and their errors.
    """

    readable: Mapping[Path, dict[str, Any]]
    damaged: Mapping[Path, str]

    @property
    def path(self) -> Path:
        """The file to resume from."""
        return next(iter(self.readable))

    @property
    def checkpoint(self) -> dict[str, Any]:
        """The content of that file."""
        return self.readable[self.path]

    @property
    def place(self) -> dict[str, Any]:
        """The position in training, as `training.progress` records it."""
        return dict(self.checkpoint[KEY])

    @property
    def epoch(self) -> int:
        """Index of the current epoch, or of the next one between epochs."""
        return int(self.place["epoch"])

    @property
    def step(self) -> int:
        """Number of optimizer steps so far."""
        return int(self.place["step"])


def newest(folder: RunFolder) -> Start | None:
    """The newest readable checkpoint, or None if there is no checkpoint yet.

    Raises:
        BadInput: if none of the checkpoints is readable, or one lacks the state for resuming.
    """
    readable: dict[Path, dict[str, Any]] = {}
    damaged: dict[Path, str] = {}
    for name in ("last", "best"):
        path = folder.checkpoints / f"{name}.ckpt"
        if path.is_file():
            try:
                readable[path] = read_checkpoint(path)
            except (OSError, ValueError) as error:
                damaged[path] = str(error)
    if not readable:
        if damaged:
            raise BadInput("RUN", folder.path, f"cannot be resumed: {'; '.join(damaged.values())}")
        return None
    for path, checkpoint in readable.items():
        if not _tells_place(checkpoint):
            raise BadInput(
                "RUN", folder.path, f"{path.name} does not tell how far training was; it cannot be resumed"
            )
    return Start(readable, damaged)


def _tells_place(checkpoint: dict[str, Any]) -> bool:
    """Whether a checkpoint, which is untrusted, contains valid state for resuming."""
    place, logs = checkpoint.get(KEY), checkpoint.get("logs")
    if not isinstance(place, dict) or not isinstance(logs, dict):
        return False
    parts = checkpoint.get("callbacks"), checkpoint.get("state_dict"), checkpoint.get(CONFIG, {})
    if not all(isinstance(part, dict) for part in parts):
        return False
    if not all(isinstance(state, dict) for state in checkpoint["callbacks"].values()):
        return False
    events, means = logs.get("events", {}), place.get("means")
    recorded = place.get("processes") if place.get("batch") else 1  # between epochs: one entry
    if not isinstance(events, dict) or not isinstance(means, list) or len(means) != recorded:
        return False
    told = (place.get(name) for name in ("epoch", "batch", "step"))
    counts = (*told, logs.get("metrics"), *events.values())
    return all(map(is_count, counts))


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

    Later entries will be logged again. Removes damaged checkpoints, results.json and reproduction.json.
    """
    for path in start.damaged if start else ():
        path.unlink()
    logs = start.checkpoint["logs"] if start else {}
    metrics_csv.rewind(folder.metrics, logs.get("metrics", 0))
    sizes = logs.get("events", {})
    for path in event_files(folder.path):
        size = sizes.get(path.name)
        if size is None:
            path.unlink()
        elif size < path.stat().st_size:
            _truncate(path, size)
    for judged in (folder.results, folder.reproduction):
        judged.unlink(missing_ok=True)
