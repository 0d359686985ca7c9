"""`isthmus resume RUN`: resume a run that was stopped, killed or failed."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from isthmus.cli.command import Command, add_overrides, add_run, run_folders
from isthmus.cli.reproduce import exit_code, report
from isthmus.cli.tables import command, print_run, printable
from isthmus.common.errors import BadInput
from isthmus.runs.execution import signals
from isthmus.runs.folder.lookup import find_run

if TYPE_CHECKING:
    from isthmus.runs.folder.run_folder import RunFolder


def parser() -> argparse.ArgumentParser:
    """The argument parser."""
    parser = argparse.ArgumentParser(
        prog="isthmus resume",
        description="Resume a run that was stopped, killed or failed, from its newest checkpoint and in "
        "its own folder. Weights and metrics become those of a run that was never interrupted: on the CPU, "
        "to the bit.",
    )
    add_run(parser)
    add_overrides(
        parser, "new trainer and callbacks keys: trainer.max_epochs=40 trains a finished run for longer"
    )
    return parser


def run(argv: Sequence[str]) -> int:
    """Resume; returns the exit code."""
    arguments = parser().parse_intermixed_args(argv)
    arguments.run = find_run(arguments.run)

    from isthmus.runs.config.compose import is_follower
    from isthmus.runs.folder.run_folder import RunFolder

    folder = RunFolder.open(arguments.run)
    if folder.is_done and not arguments.overrides:
        if is_follower():
            return 0
        further = command("isthmus", "resume", arguments.run, "trainer.max_epochs=N")
        print(f"{printable(arguments.run)} is done; to train it further: {further}")
        return 0 if folder.reproduction.exists() else _compared(folder)
    from isthmus.runs.resume import resume

    signals.unwind()
    folder = resume(arguments.run, overrides=arguments.overrides)
    if is_follower():
        return 0
    print_run(folder)
    return _compared(folder)


def _compared(folder: RunFolder) -> int:
    """If a run reproduces another one, compare them and print the verdict; returns the exit code."""
    from isthmus.runs.comparison.original import conclude_resumed, is_reproduction

    if not is_reproduction(folder):
        return 0
    try:
        verdict = conclude_resumed(folder)
    except BadInput as error:
        again = command("isthmus", "resume", folder.path)
        print(f"\nnot compared with the run that it reproduces: {printable(error)}; to try again: {again}")
        return 0
    print(f"\n{report(verdict)}")
    return exit_code(verdict)


COMMAND = Command(
    summary="resume a run that was stopped, killed or failed: isthmus resume RUN",
    run=run,
    parser=parser,
    words=run_folders,
    opens_configs=True,
    trains=True,
)
