"""`isthmus report RUN`: a run as one page to hand on."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from isthmus.cli.command import Command, add_run, run_folders
from isthmus.cli.tables import command, file_size, print_next, printable
from isthmus.common.errors import BadInput
from isthmus.common.messages import relative
from isthmus.runs.execution import signals
from isthmus.runs.folder.lookup import find_run


def parser() -> argparse.ArgumentParser:
    """The argument parser."""
    parser = argparse.ArgumentParser(
        prog="isthmus report",
        description="Write one HTML file that shows a run: what it is, its metrics, curves and figures, "
        "what embed, detect, denoise and generate left in its folder, its config and where it comes from. It "
        "needs no network. Works on a run that is running, failed or was killed.",
    )
    add_run(parser)
    parser.add_argument("more", nargs="*", help=argparse.SUPPRESS)
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="FILE",
        help="an .html file; default: report.html in the run folder, which is replaced",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an existing FILE")
    return parser


def run(argv: Sequence[str]) -> int:
    """Report; returns the exit code."""
    arguments = parser().parse_intermixed_args(argv)
    if arguments.more:
        typed = " ".join([str(arguments.run), *arguments.more])
        raise BadInput("RUN", typed, "a report is of one run; `isthmus board` compares several")
    found, output = find_run(arguments.run), arguments.output

    from isthmus.reports.report import write_report
    from isthmus.tasks.outputs.places import check_free

    signals.unwind()
    if output is not None:
        check_free(output, overwrite=arguments.overwrite)
        if output.suffix.lower() not in (".html", ".htm"):
            raise BadInput("--output", output, "must end in .html")
    done = write_report(found, output)
    size = file_size(done.path.stat().st_size)
    print(f"{printable(relative(done.path))}: {size}, {', '.join(done.sections).lower()}")
    print("open it in a browser, or hand it on: it needs no other file and no network")
    following = [(printable(line), f"adds {what}") for line, what in done.missing]
    here = relative(found)
    if done.status == "running":
        following.append((command("isthmus", "report", here), "once more when the run is done"))
    elif done.status != "done":
        following.append((command("isthmus", "resume", here), "trains it to its end"))
    if following:
        print()
        print_next(following)
    return 0


COMMAND = Command(
    summary="a run as one page to hand on: isthmus report RUN",
    run=run,
    parser=parser,
    words=run_folders,
)
