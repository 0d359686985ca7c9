"""The command line."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import torch
from ablation import TURNS
from cases import CASES
from contestants.ablated import COMPONENTS
from registry import CONTESTANTS

PARTS = (*CASES, "encoding", "scoring", "streaming", "memory", "startup", "ablation", "steps")


def parse() -> argparse.Namespace:
    """What to measure, and how long."""
    parser = argparse.ArgumentParser(
        prog="python scripts/benchmark",
        description="Time isthmus against what else there is, on the same work, in turns.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--turns", type=_positive, default=5, help="of each contestant")
    parser.add_argument(
        "--epochs", type=_positive, help="of a turn in the training cases; None: the case says"
    )
    parser.add_argument(
        "--only",
        nargs="+",
        metavar="PART",
        choices=PARTS,
        help=f"of {', '.join(PARTS)}; None: all but ablation and steps",
    )
    parser.add_argument("--contestants", nargs="+", choices=CONTESTANTS, help="in training; None: all")
    parser.add_argument("--without", nargs="+", choices=COMPONENTS, help="in the ablation; None: all in turn")
    parser.add_argument("--cases", nargs="+", choices=TURNS, help="of ablation and steps; None: all")
    parser.add_argument("--out", type=Path, default=Path("benchmarks.md"), help="with a plot beside it")
    parser.add_argument("--threads", type=_positive, default=_threads(), help="of the CPU, for each process")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="to train on")
    parser.add_argument(
        "--rows", type=_positive, help="to train on, for trial runs; None: all, or as the case says"
    )
    parser.add_argument("--encode-rows", type=_positive, default=1_000_000, help="to encode")
    parser.add_argument("--stream-rows", type=_positive, default=200_000, help="in the file to stream")
    parser.add_argument("--stream-gb", type=float, default=10.0, help="of the large file; 0: without it")
    parser.add_argument("--stream-steps", type=_positive, help="on the large file; None: a whole epoch")
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: there is none that this PyTorch can use")
    return options


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


def _threads() -> int:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, int(os.environ.get("OMP_NUM_THREADS") or cores))
