"""`isthmus evaluate RUN [DATA]`: compute the test metrics of a run from its folder alone."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from isthmus.cli.command import Command, add_data, add_run, data_of, run_folders
from isthmus.cli.tables import by_stage, print_remarks, printable, table
from isthmus.common.errors import BadInput
from isthmus.runs.execution import signals
from isthmus.runs.folder.json_text import as_json
from isthmus.runs.folder.lookup import find_run


def parser() -> argparse.ArgumentParser:
    """The argument parser."""
    parser = argparse.ArgumentParser(
        prog="isthmus evaluate",
        description="Test a run's checkpoint with the run's own config, on its own data or on others. "
        "Nothing is written.",
    )
    add_run(parser)
    add_data(parser, otherwise="the test rows of the run")
    parser.add_argument(
        "--checkpoint",
        choices=("best", "last"),
        help="default: best, or last where the best is damaged",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    return parser


def run(argv: Sequence[str]) -> int:
    """Evaluate; returns the exit code."""
    arguments = parser().parse_intermixed_args(argv)
    arguments.run = find_run(arguments.run)
    data, overrides = data_of(arguments)

    from isthmus.runs.config.compose import quoted
    from isthmus.runs.evaluate import evaluate
    from isthmus.runs.folder.run_folder import RunFolder

    signals.unwind()
    if data is not None:
        if "path" not in RunFolder.open(arguments.run).read_config().data:
            raise BadInput("DATA", data, "the run's data have no path; it can be tested on its own data only")
        overrides = [f"data.path={quoted(data)}", *overrides]
    results = evaluate(arguments.run, checkpoint=arguments.checkpoint, overrides=overrides)
    if arguments.json:
        print(as_json(results), end="")
        return 0
    if not results["same_data"]:  # of its own data the run said so before training
        print_remarks(results["remarks"])
    if results["damaged"]:
        print(f"{results['damaged']}; {results['checkpoint']}.ckpt is tested instead")
    print(
        f"{printable(arguments.run)}: {results['checkpoint']} checkpoint,"
        f" epoch {results['epoch']}, step {results['step']}\n"
    )
    print(table(by_stage(results, ("test",))))
    if results["leaked"]:
        print(
            f"\nwarning: a leak: {results['leaked']:,} of the {results['rows']:,} tested rows were used in "
            "training; leave the keys of the split as they were"
        )
    elif not results["same_data"]:
        print(
            f"\nnote: other data, or another split, than the run was trained on: {results['rows']:,} rows "
            "tested; of other data, isthmus cannot tell whether some rows were trained on"
        )
    return 0


COMMAND = Command(
    summary="test a run again, on its own data or on others: isthmus evaluate RUN [DATA]",
    run=run,
    parser=parser,
    words=run_folders,
    opens_configs=True,
)
