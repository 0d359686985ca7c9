"""Writes metrics.csv: every logged number; atomically, and it can be truncated."""

from __future__ import annotations

import contextlib
import csv
import os
import shutil
import threading
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from lightning_fabric.utilities.rank_zero import rank_zero_only
from pytorch_lightning.loggers import Logger

from isthmus.common.atomic_files import replacing
from isthmus.common.csv_rows import read_rows
from isthmus.common.errors import BadInput
from isthmus.training.writers.background import Background
from isthmus.training.writers.metrics_reader import read_metrics


class MetricsFile(Logger):
    """One row for each call of `log_metrics`, one column for each name, in alphabetical order.

    Epochs count from 1, and ``step`` is the number of optimizer steps made; the row of the test has the epoch
    and the step of the weights that were tested.

    Lightning's CSVLogger appends to its file, and rewrites it in place for a new column: a kill at that
    moment loses it. It also deletes the file of a resumed run.

    Args:
        path: the file; its existing rows are kept.
        background: updates the file.
    """

    marked_as = "metrics"

    def __init__(self, path: Path, background: Background) -> None:
        super().__init__()
        self.path = path
        self.background = background
        self._columns, self._rows = _head(path)
        self._logged = self._rows
        self._pending: list[dict[str, Any]] = []
        self._lock = threading.Lock()  # guards `_pending`
        self._writing = threading.Lock()

    @property
    def save_dir(self) -> str:
        """The run folder; Lightning's ModelCheckpoint writes to ``checkpoints`` in it by default."""
        return str(self.path.parent.absolute())

    @property
    def name(self) -> str:
        return ""

    @property
    def version(self) -> str:
        return ""

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Does nothing: the run folder has its config.yaml."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Record a row; the writer thread updates the file soon, and before each checkpoint."""
        row = {
            name: value.item() if isinstance(value, torch.Tensor) else value
            for name, value in metrics.items()
        }
        with self._lock:
            self._pending.append({**row, "step": step})
            self._logged += 1
        self.background.replace(self.path.name, self.write)

    @rank_zero_only
    def mark(self) -> int:
        """The number of logged rows, which the file contains after the next `write`."""
        return self._logged

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Write pending rows. A failed disk may have ended the run, which is reported already."""
        with contextlib.suppress(OSError) if status == "failed" else contextlib.nullcontext():
            self.write()

    def write(self) -> None:
        """Write pending rows."""
        with self._writing:
            self._write()

    def _write(self) -> None:
        with self._lock:
            new, self._pending = self._pending, []
        if not new:
            return
        columns = sorted(set(self._columns).union(*new))
        try:
            with replacing(self.path) as beside:
                if columns == self._columns:
                    shutil.copyfile(self.path, beside)
                    _append(beside, columns, new)
                else:
                    before = list(read_rows(self.path)) if self._rows else []
                    _append(beside, columns, [*before, *new], header=True)
        except BaseException:
            with self._lock:
                self._pending = [*new, *self._pending]
            raise
        self._columns, self._rows = columns, self._rows + len(new)


def rewind(path: Path, rows: int) -> None:
    """Truncate the file to its first `rows` rows, and to the columns with values in these.

    Raises:
        BadInput: it has fewer rows, or cannot be read.
    """
    if not rows:
        path.unlink(missing_ok=True)
        return
    kept = first_rows(path, rows)
    columns = sorted({name for row in kept for name, value in row.items() if value})
    with replacing(path) as beside:
        _append(beside, columns, [{name: row[name] for name in columns} for row in kept], header=True)


def first_rows(path: Path, rows: int) -> list[dict[str, str]]:
    """The first `rows` rows of a metrics.csv; raises `BadInput` as `rewind` does."""
    try:
        kept = list(islice(read_metrics(path), rows))
    except (OSError, ValueError) as error:
        raise BadInput("RUN", path.parent, f"its {path.name} cannot be read: {error}") from error
    if len(kept) < rows:
        raise BadInput(
            "RUN", path.parent, f"{path.name} has {len(kept)} rows, but its checkpoint recorded {rows}"
        )
    return kept


def _head(path: Path) -> tuple[list[str], int]:
    """The columns of a file and the number of its rows; empty and 0 where there is no file."""
    if not path.is_file():
        return [], 0
    columns: list[str] = []
    rows = 0
    for row in read_rows(path):
        columns, rows = list(row), rows + 1
    return columns, rows


def _append(path: Path, columns: list[str], rows: list[dict[str, Any]], *, header: bool = False) -> None:
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        if header:
            writer.writeheader()
        writer.writerows(rows)
        file.flush()
        os.fsync(file.fileno())
