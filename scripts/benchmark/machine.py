"""Where, when and with what was measured."""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

PACKAGES = ("torch", "pytorch-lightning", "jax", "pythae", "pyod", "numpy")

HOW = """Every contestant is a process of its own that imports, loads its data and trains once for nothing,
which also compiles what is compiled. Then they work in turns, one at a time, and another one begins each
round. A ratio is one contestant's speed over another's in the same round; given are the median and the range
of the ratios. Training is timed from its first batch to its last, for isthmus and Lightning from the start of
`Trainer.fit` to its return. The test mse is per pixel, of the network after a turn, median over the turns;
turn k has seed k. Peak memory is that of the whole process, its data and libraries included. Where epochs
take less than a second, isthmus writes a checkpoint about once a second, Lightning one for each epoch."""


def heading(threads: int, device: str) -> str:
    """The first lines of the report."""
    where = f"{_processor()}, {os.cpu_count()} cores, {threads} threads for each process"
    if device == "cuda":
        where += f", {torch.cuda.get_device_name()}"
    facts = [
        f"{where}, {platform.system()} {platform.machine()}, Python {platform.python_version()}",
        f"{time.strftime('%Y-%m-%d')}, isthmus {_commit()}",
        ", ".join(f"{name} {_version(name)}" for name in PACKAGES),
        f"`{shlex.join(['python', 'scripts/benchmark', *sys.argv[1:]])}`",
    ]
    return "\n\n".join(["# Benchmarks", "\n".join(f"- {fact}" for fact in facts), HOW])


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown processor"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _commit() -> str:
    def git(*arguments: str) -> str:
        folder = Path(__file__).parent
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    try:
        changed = " with uncommitted changes" if git("status", "--porcelain", "--", ":/src", ":/conf") else ""
        return f"{version('isthmus')} at {git('rev-parse', '--short', 'HEAD')}{changed}"
    except (OSError, subprocess.CalledProcessError):
        return version("isthmus")
