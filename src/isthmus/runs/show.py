"""Describe a run folder in any state. Imports no torch."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from isthmus.common.errors import BadInput
from isthmus.common.tensor_file import check_tensors
from isthmus.runs.config.keys import against_defaults
from isthmus.runs.folder.lookup import MODEL
from isthmus.runs.folder.run_folder import RunFolder
from isthmus.training.checkpoint.archive import check_archive
from isthmus.training.writers.metrics_reader import read_metrics


def describe(path: Path) -> dict[str, Any]:
    """Describe a run in plain types; whatever does not exist yet is empty.

    Args:
        path: the run folder.

    Returns:
        ``status``, ``format`` (of the folder), ``typed`` (overrides), ``config`` (key -> default and value
        of the run, where they differ), ``provenance``, ``results``, ``latest`` (the last logged value of each
        metric, epoch and step, as long as there are no results) and ``files`` (name -> bytes).

    Raises:
        BadInput: if there is no run folder, or its config or status is damaged.
    """
    folder = RunFolder.open(path)
    results = _optional(folder, folder.results)
    return {
        "path": str(path),
        "status": folder.read_status(),
        "format": folder.format,
        "typed": folder.read_overrides(),
        "config": {
            key: {"default": default, "here": here}
            for key, (default, here) in against_defaults(folder.read_config()).items()
        },
        "provenance": _optional(folder, folder.provenance),
        "results": results,
        "latest": {} if results else latest(folder),
        "files": dict(sorted(files(path))),
    }


def damaged(path: Path) -> dict[str, str]:
    """Verify the checkpoints, latents and model of a run: name of each damaged file -> error."""
    found = {}
    checks = {
        "checkpoints/*.ckpt": check_archive,
        "latents/*.safetensors": check_tensors,
        MODEL: check_tensors,
    }
    for pattern, check in checks.items():
        for file in sorted(path.glob(pattern)):
            try:
                check(file)
            except (OSError, ValueError) as error:
                found[file.relative_to(path).as_posix()] = str(error)
    return found


def latest(folder: RunFolder) -> dict[str, float]:
    """The last value of each metric in metrics.csv, and the last epoch and step."""
    values: dict[str, float] = {}
    with contextlib.suppress(OSError, ValueError):  # show the rows before the damage
        for row in read_metrics(folder.metrics):
            for name, text in row.items():
                if name in ("epoch", "step") or ("/" in name and not name.endswith("_step")):
                    values |= _number(name, text)
    return values


def files(path: Path) -> Iterator[tuple[str, int]]:
    """Name and size of every file of the run; links are not followed."""
    for place, _, names in os.walk(path):
        for name in names:
            file = Path(place, name)
            with contextlib.suppress(FileNotFoundError):  # a running training may remove files
                yield file.relative_to(path).as_posix(), file.lstat().st_size


def _number(name: str, text: str) -> dict[str, float]:
    try:
        return {name: float(text)}
    except ValueError:
        return {}


def _optional(folder: RunFolder, path: Path) -> Mapping[str, Any]:
    """A JSON file, or {} if it is missing or damaged: the run may have just started, or was killed."""
    if not path.is_file():
        return {}
    try:
        return folder.read_json(path)
    except BadInput:
        return {}
