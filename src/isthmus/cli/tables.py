"""Text output about a run: metrics table, folder and next commands."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from isthmus.common.messages import command_line, number, printable, relative, remark
from isthmus.reports.metrics import by_stage, unit_of

if TYPE_CHECKING:
    from pathlib import Path

    from isthmus.runs.folder.run_folder import RunFolder


# of remarks on data that a trained model is used on, those that are printed
SAID = ("read as", "skipped", "ignored", "missing", "unseen", "note", "warning")


def table(columns: Mapping[str, Mapping[str, float]]) -> str:
    """Metrics as rows, stages as columns."""
    names = list(dict.fromkeys(name for column in columns.values() for name in column))
    rows = [["", *columns]]
    for name in names:
        label = f"{name} ({unit})" if (unit := unit_of(name)) else printable(name, 40)
        rows.append([label, *(_number(column.get(name)) for column in columns.values())])
    return aligned(rows, right=range(1, len(rows[0])))


def aligned(rows: Sequence[Sequence[str]], *, right: Container[int] = ()) -> str:
    """Rows of cells as aligned columns; columns whose indices are in `right` are right-aligned."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if index in right else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def command(*words: object) -> str:
    """A printable, shell-quoted command line; see `command_line`."""
    return printable(command_line(*words))


def print_run(folder: RunFolder) -> None:
    """Print the summary at the end of `isthmus train`."""
    results = folder.read_json(folder.results)
    here = relative(folder.path)
    print(
        f"\nbest checkpoint: epoch {results['epoch']}, step {results['step']},"
        f" {results['parameters']:,} parameters\n"
    )
    print(table(by_stage(results, ("train", "val", "test"))))
    print(f"\nrun folder: {printable(here)}\n")
    print_next(
        [
            (command("isthmus", "report", here), "the run as one page: curves, figures, config"),
            (command("isthmus", "embed", here), "a map of the codes; then detect, denoise, generate, export"),
            (command("isthmus", "board", here.parent), "compare runs in TensorBoard"),
            (command("isthmus", "reproduce", here), "train it again, and compare to the bit"),
            ("isthmus train --help", "every group and its choices"),
        ]
    )


def print_remarks(remarks: Iterable[tuple[str, str]]) -> None:
    """Print those of the remarks on new data that a reader needs, a line each."""
    for kind, text in remarks:
        if kind in SAID:
            print(remark(kind, text))


def print_next(proposals: Sequence[tuple[str, str]]) -> None:
    """Print commands to type next, and what each does."""
    print("next:")
    print("\n".join(f"  {line}" for line in aligned(proposals).splitlines()))


def file_size(count: int) -> str:
    """A number of bytes, such as 1.5 MB."""
    size, units = float(count), ["B", "kB", "MB", "GB", "TB"]
    while size >= 1000 and len(units) > 1:
        size /= 1000
        units.pop(0)
    return f"{size:.0f} {units[0]}" if units[0] == "B" else f"{size:.1f} {units[0]}"


def print_files(files: Sequence[Path]) -> None:
    """Print which files a command has written."""
    for file in files:
        print(f"  {printable(relative(file))}")


def _number(value: float | None) -> str:
    return "" if value is None else number(value)
