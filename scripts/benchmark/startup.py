"""Start-up: from the start of the process to the first optimizer step, against the imports alone."""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from report import Report, table
from turns import spread

CHILD = Path(__file__).with_name("startup_child.py")
WHAT = {
    "imports": "import torch, pytorch_lightning and torch.utils.tensorboard",
    "isthmus": "`isthmus train data=digits`, until the first optimizer step",
}


def measure(options: argparse.Namespace, report: Report) -> None:
    """Start processes in turns, and report."""
    print("\nstartup", flush=True)
    seconds: dict[str, list[float]] = {name: [] for name in WHAT}
    try:
        for turn in range(options.turns + 1):
            for name in sorted(WHAT, reverse=turn % 2 == 1):
                taken = start(name, options.threads)
                if turn:  # the first one reads the files into the page cache
                    seconds[name].append(taken)
    except subprocess.CalledProcessError as error:
        lines = error.stderr.strip().splitlines()
        report.add("Start-up", report.complain(f"startup failed: {lines[-1] if lines else error}"))
        return
    ratios = [own / other for own, other in zip(seconds["isthmus"], seconds["imports"], strict=True)]
    shown = {"imports": "1", "isthmus": spread(ratios)}
    report.add(
        "Start-up",
        f"Seconds from the start of a process, files in the page cache; turns: {options.turns}. "
        "isthmus collects no garbage until it trains; the imports are as Python has them.",
        table(
            ["", "seconds", "times the imports (min to max)"],
            [[WHAT[name], f"{statistics.median(seconds[name]):.2f}", shown[name]] for name in WHAT],
        ),
    )


def start(name: str, threads: int) -> float:
    """Start a child and return the seconds that it says."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "BENCHMARK_BEGAN": str(time.time())}
        done = subprocess.run(
            [sys.executable, str(CHILD), name],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
    told = [line for line in done.stdout.splitlines() if line.startswith("elapsed ")]
    return float(told[-1].split()[1])
