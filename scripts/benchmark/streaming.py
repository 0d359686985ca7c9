"""Streaming: training on a file that is read by each batch, against the same file held in memory."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from images import write_floats, write_images
from report import Report, table
from settings import Settings
from turns import spread, take_turns

HELD, STREAMED = "in_memory=true", "in_memory=false"


def measure(options: argparse.Namespace, report: Report) -> None:
    """Train in turns, and report."""
    print(f"\nstreaming: {options.stream_rows:,} rows", flush=True)
    _measure(
        "Streaming",
        "`isthmus train data=arrays` on a .npy file of {rows:,} rows of 784 bytes",
        {HELD: "contestants.streams:Held", STREAMED: "contestants.streams:Streamed"},
        [(write_images, ".npy")],
        options,
        report,
    )
    _measure(
        "Streaming a table",
        "`isthmus train data.in_memory=false` on {rows:,} rows of 784 float32 values, as `data=arrays` of a "
        ".npy file and as `data=table` of a Parquet file",
        {".npy": "contestants.streams:Streamed", ".parquet": "contestants.streams:StreamedTable"},
        [(write_floats, ".npy"), (write_floats, ".parquet")],
        options,
        report,
    )


def _measure(
    title: str,
    what: str,
    contestants: Mapping[str, str],
    files: Sequence[tuple[Callable[[Path, int], Path], str]],
    options: argparse.Namespace,
    report: Report,
) -> None:
    """Write files with these suffixes, let the contestants train on them in turns, and report.

    The first contestant is the reference.
    """
    reference = next(iter(contestants))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "images"
        for write, suffix in files:
            write(file.with_suffix(suffix), options.stream_rows)
        # the training before the first turn leaves the files in the page cache
        settings = Settings(file=str(file), threads=options.threads)
        rounds = take_turns(contestants, settings, turns=options.turns)
    notes = [report.complain(f"streaming, {name}: {why}") for name, why in rounds.failures.items()]
    report.add(
        title,
        f"{what.format(rows=options.stream_rows)}, in the page cache, textbook network. "
        f"One epoch in a turn; turns: {options.turns}.",
        table(
            ["", "images/s", f"times {reference} (min to max)", "test mse"],
            [
                [
                    name,
                    f"{rounds.speed(name):,.0f}",
                    spread(rounds.ratios(name, reference)),
                    f"{rounds.median(name, 'mse'):.5f}",
                ]
                for name in rounds.answers
            ],
        ),
        *notes,
    )
