"""`isthmus resume RUN`: go on with a run that was stopped, killed or failed."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path


def run(argv: Sequence[str]) -> int:
    """Resume; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="isthmus resume",
        description="Go on with a run that was stopped, killed or failed, from its newest checkpoint and in "
        "its own folder. Weights and metrics become those of a run that was never interrupted: on the CPU, "
        "to the bit.",
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="a run folder")
    parser.add_argument(
        "overrides",
        nargs="*",
        default=[],
        metavar="KEY=VALUE",
        help="keys of trainer and callbacks that differ from now on: trainer.max_epochs=40 trains a run "
        "that is done further",
    )
    arguments = parser.parse_intermixed_args(argv)

    from isthmus.cli.report import command, print_run, printable
    from isthmus.runs.compose import is_follower
    from isthmus.runs.folder import RunFolder

    done = RunFolder.open(arguments.run).is_done and not arguments.overrides
    if done and not is_follower():
        further = command("isthmus", "resume", arguments.run, "trainer.max_epochs=N")
        print(f"{printable(arguments.run)} is done; to train it further: {further}")
    if done:
        return 0
    from isthmus.runs import signals
    from isthmus.runs.resume import resume

    signals.unwind()
    folder = resume(arguments.run, overrides=arguments.overrides)
    if not is_follower():
        print_run(folder)
    return 0
