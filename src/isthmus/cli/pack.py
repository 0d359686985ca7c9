"""`isthmus pack RUN [OUTPUT]`: write a trained model to one file."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from isthmus.cli.command import Command, add_model, run_folders
from isthmus.cli.tables import file_size, printable
from isthmus.runs.execution import signals


def parser() -> argparse.ArgumentParser:
    """The argument parser."""
    parser = argparse.ArgumentParser(
        prog="isthmus pack",
        description="Write a trained model to one file: weights, config, how data are prepared, thresholds "
        "and samplers, as numbers and text. It opens without the run, its data and Lightning.",
    )
    add_model(parser)
    parser.add_argument("output", type=Path, nargs="?", help="default: NAME.isthmus in the current folder")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing file")
    return parser


def run(argv: Sequence[str]) -> int:
    """Pack; returns the exit code."""
    arguments = parser().parse_args(argv)

    from isthmus.tasks.pack import pack

    signals.unwind()
    path, file = pack(arguments.run, arguments.output, overwrite=arguments.overwrite)
    where = f"{file.run.get('checkpoint')} checkpoint, epoch {file.run.get('epoch')}"
    print(f"{printable(path)}: {file_size(path.stat().st_size)}, {printable(where)}")
    print(f'in Python: model = isthmus.load("{printable(path)}")')
    return 0


COMMAND = Command(
    summary="write a trained model to one file: isthmus pack RUN model.isthmus",
    run=run,
    parser=parser,
    words=run_folders,
    opens_configs=True,
)
