"""Streaming: training on a file that is read by each batch, against the same file held in memory."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from images import write_images
from report import Report, table
from settings import Settings
from turns import spread, take_turns

HELD, STREAMED = "in_memory=true", "in_memory=false"
WHERE = {HELD: "contestants.streams:Held", STREAMED: "contestants.streams:Streamed"}


def measure(options: argparse.Namespace, report: Report) -> None:
    """Train in turns, and report."""
    print(f"\nstreaming: {options.stream_rows:,} rows", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        file = write_images(Path(folder) / "images.npy", options.stream_rows)
        # the training before the first turn leaves the file in the page cache
        settings = Settings(file=str(file), threads=options.threads)
        rounds = take_turns(WHERE, settings, turns=options.turns)
    notes = [report.complain(f"streaming, {name}: {why}") for name, why in rounds.failures.items()]
    report.add(
        "Streaming",
        f"`isthmus train data=arrays` on a .npy file of {options.stream_rows:,} rows of 784 bytes in the "
        "page cache, textbook network. "
        f"One epoch in a turn; turns: {options.turns}.",
        table(
            ["", "images/s", f"times {HELD} (min to max)", "test mse"],
            [
                [
                    name,
                    f"{rounds.speed(name):,.0f}",
                    spread(rounds.ratios(name, HELD)),
                    f"{rounds.median(name, 'mse'):.5f}",
                ]
                for name in rounds.answers
            ],
        ),
        *notes,
    )
