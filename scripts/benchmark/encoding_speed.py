"""Encoding and scoring: `encode_all` over many rows against a bare forward pass."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from images import write_images
from report import Report, table
from settings import Settings
from turns import spread, take_turns

BARE, ISTHMUS = "bare", "encode_all"
WHERE = {BARE: "contestants.encoders:Bare", ISTHMUS: "contestants.encoders:EncodeAll"}
SAME = 1e-4  # relative difference of the mean scores, which come from the same weights


def measure(options: argparse.Namespace, report: Report) -> None:
    """Encode in turns, and report."""
    print(f"\nencoding: {options.encode_rows:,} rows", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        file = write_images(Path(folder) / "images.npy", options.encode_rows)
        settings = Settings(file=str(file), threads=options.threads)
        rounds = take_turns(WHERE, settings, turns=options.turns)
    notes = [report.complain(f"encoding, {name}: {why}") for name, why in rounds.failures.items()]
    if len(rounds.answers) == len(WHERE):
        bare, own = (rounds.median(name, "mse") for name in (BARE, ISTHMUS))
        if abs(own - bare) > SAME * bare:
            notes.append(report.complain(f"encoding: mean scores differ, {own:.6g} and {bare:.6g}"))
    report.add(
        "Encoding and scoring",
        f"{options.encode_rows:,} rows of 784 bytes in memory, textbook network, codes and mse of each row "
        "on the CPU. bare: slices of the tensor through plain layers into arrays that are there already. "
        f"Turns: {options.turns}.",
        table(
            ["", "rows/s", f"times {BARE} (min to max)"],
            [
                [name, f"{rounds.speed(name):,.0f}", spread(rounds.ratios(name, BARE))]
                for name in rounds.answers
            ],
        ),
        *notes,
    )
