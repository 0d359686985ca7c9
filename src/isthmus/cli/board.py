"""`isthmus board [DIR]`: TensorBoard over the runs."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from isthmus.cli.command import Command
from isthmus.runs import BadInput


def parser() -> argparse.ArgumentParser:
    """The argument parser."""
    parser = argparse.ArgumentParser(
        prog="isthmus board",
        description="Open TensorBoard over run folders: scalars, images, HParams, projector.",
    )
    parser.add_argument("folder", nargs="?", type=Path, default=Path("outputs"), help="default: outputs")
    parser.add_argument("--port", type=int, default=6006, help="default: 6006")
    parser.add_argument("--host", default="localhost", help="default: localhost, this machine alone")
    return parser


def run(argv: Sequence[str]) -> int:
    """Replace this process by TensorBoard."""
    arguments = parser().parse_args(argv)
    if not arguments.folder.is_dir():
        raise BadInput(
            "DIR", arguments.folder, "there is no such folder; train a run first, or name the folder"
        )
    command = [
        *(sys.executable, "-m", "tensorboard.main", f"--logdir={arguments.folder}"),
        *("--host", arguments.host, "--port", str(arguments.port)),
    ]
    print(f"TensorBoard over {arguments.folder}; stop it with Ctrl+C", flush=True)
    os.execv(sys.executable, command)


COMMAND = Command(
    summary="open TensorBoard over the runs: isthmus board",
    run=run,
    parser=parser,
)
