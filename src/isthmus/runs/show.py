"""What a run folder says of its run, whatever became of it. Imports no torch."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from isthmus.common.csv_rows import read_rows
from isthmus.common.errors import BadInput
from isthmus.runs.config.keys import against_defaults, typed_overrides
from isthmus.runs.folder.run_folder import RunFolder
from isthmus.training.checkpoint.archive import check_archive
from isthmus.training.writers.latent_file import check_latents


def describe(path: Path) -> dict[str, Any]:
    """All of it in plain types; what is not there yet is left empty.

    Args:
        path: of the run folder.

    Returns:
        ``status``, ``format`` (of the folder), ``typed`` (overrides), ``config`` (key -> default and value
        here, where they differ), ``provenance``, ``results``, ``latest`` (the last logged value of each
        metric, epoch and step, while there are no results) and ``files`` (name -> bytes).

    Raises:
        BadInput: where there is no run folder, or its config or status is damaged.
    """
    folder = RunFolder.open(path)
    results = _optional(folder, folder.results)
    return {
        "path": str(path),
        "status": folder.read_status(),
        "format": folder.format,
        "typed": typed_overrides(folder),
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
    """The checkpoints and latents of a run whose checksums are wrong: name -> what is wrong."""
    found = {}
    for pattern, check in (("checkpoints/*.ckpt", check_archive), ("latents/*.safetensors", check_latents)):
        for file in sorted(path.glob(pattern)):
            try:
                check(file)
            except (OSError, ValueError) as error:
                found[file.relative_to(path).as_posix()] = str(error)
    return found


def latest(folder: RunFolder) -> dict[str, float]:
    """The last value of each metric in metrics.csv, and the last epoch and step."""
    values: dict[str, float] = {}
    with contextlib.suppress(OSError, ValueError):  # what comes before the damage is shown
        for row in read_rows(folder.metrics):
            for name, text in row.items():
                if name in ("epoch", "step") or ("/" in name and not name.endswith("_step")):
                    values |= _number(name, text)
    return values


def files(path: Path) -> Iterator[tuple[str, int]]:
    """Name and size of every file of the run; links are not followed."""
    for place, _, names in os.walk(path):
        for name in names:
            file = Path(place, name)
            with contextlib.suppress(FileNotFoundError):  # of a run that trains
                yield file.relative_to(path).as_posix(), file.lstat().st_size


def _number(name: str, text: str) -> dict[str, float]:
    try:
        return {name: float(text)}
    except ValueError:
        return {}


def _optional(folder: RunFolder, path: Path) -> Mapping[str, Any]:
    """A JSON file that a run which began just now, or was killed, may not have."""
    if not path.is_file():
        return {}
    try:
        return folder.read_json(path)
    except BadInput:
        return {}
