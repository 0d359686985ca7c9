"""What a command prints of a run: one table, the folder, and what to type next."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from isthmus.runs.folder import RunFolder

UNITS = {"psnr": "dB", "kl": "nats"}


def table(columns: Mapping[str, Mapping[str, float]]) -> str:
    """Metrics as rows, stages as columns."""
    names = list(dict.fromkeys(name for column in columns.values() for name in column))
    rows = [["", *columns]]
    for name in names:
        label = f"{name} ({UNITS[name]})" if name in UNITS else name
        rows.append([label, *(_number(column.get(name)) for column in columns.values())])
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True))]
        )
        for row in rows
    )


def by_stage(results: Mapping[str, Any], stages: Sequence[str]) -> dict[str, dict[str, float]]:
    """``{"test/mse": 1.0}`` -> ``{"test": {"mse": 1.0}}``, scalars only, stages without metrics left out."""
    columns = {
        stage: {
            name.removeprefix(f"{stage}/"): value
            for name, value in results.items()
            if name.startswith(f"{stage}/") and isinstance(value, int | float)
        }
        for stage in stages
    }
    return {stage: column for stage, column in columns.items() if column}


def print_run(folder: RunFolder) -> None:
    """The end of `isthmus train`."""
    results = folder.read_json(folder.results)
    here = _relative(folder.path)
    print(
        f"\nbest checkpoint: epoch {results['epoch']}, step {results['step']},"
        f" {results['parameters']:,} parameters\n"
    )
    print(table(by_stage(results, ("train", "val", "test"))))
    print(f"\nrun folder: {here}\n")
    print("next:")
    print(f"  isthmus evaluate {here}    test it again, from the folder alone")
    print(f"  isthmus board {here.parent}    compare runs in TensorBoard")
    print("  isthmus train --help    every group and its choices")


def _relative(path: Path) -> Path:
    relative = Path(os.path.relpath(path))
    return path if relative.parts[:1] == ("..",) else relative


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"
