"""`isthmus generate RUN`: sample new examples, or measure how good they are."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from isthmus.cli.command import Command, add_device, add_model, add_output, run_folders
from isthmus.cli.tables import aligned, command, print_files, printable
from isthmus.common.errors import BadInput
from isthmus.runs.execution import signals
from isthmus.runs.folder.lookup import find_run

if TYPE_CHECKING:
    from isthmus.tasks.sample_quality.measure import SampleQuality
    from isthmus.tasks.trained_model import TrainedModel

COUNT = 64


def parser() -> argparse.ArgumentParser:
    """The argument parser."""
    parser = argparse.ArgumentParser(
        prog="isthmus generate",
        description="Sample new examples: of images also interpolations, traversals of the codes and, where "
        "codes have two numbers, the plane of them. With --evaluate, measure how good samples are.",
    )
    add_model(parser)
    parser.add_argument("-n", dest="count", type=int, metavar="N", help=f"samples; default: {COUNT}")
    parser.add_argument(
        "--sampler",
        choices=("prior", "mixture", "flow"),
        help="the prior, or a Gaussian mixture or a normalising flow fitted to the codes; default: the "
        "prior if there is one, or else the mixture; with --evaluate: all",
    )
    parser.add_argument(
        "--evaluate",
        action="store_true",
        help="compare samples with the run's test rows, as many as there are, at most 10,000: Frechet "
        "distance in the features of a classifier trained here, precision, recall, density and coverage",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the random numbers; default: 0")
    add_output(parser, "generate")
    add_device(parser)
    return parser


def run(argv: Sequence[str]) -> int:
    """Generate; returns the exit code."""
    arguments = parser().parse_args(argv)
    if arguments.evaluate and arguments.count is not None:
        fix = "with --evaluate there are as many samples as test rows; leave it out"
        raise BadInput("-n", arguments.count, fix)

    from isthmus.tasks.loading import load_model

    signals.unwind()
    model = load_model(arguments.run, device=arguments.device)
    return _evaluate(model, arguments) if arguments.evaluate else _generate(model, arguments)


def _generate(model: TrainedModel, arguments: argparse.Namespace) -> int:
    from isthmus.tasks.generate import generate
    from isthmus.tasks.outputs.places import results_folder

    chosen = arguments.sampler or model.default_sampler
    count = COUNT if arguments.count is None else arguments.count
    folder = results_folder(arguments.output, arguments.run, "generate", chosen)
    files = generate(model, folder, count=count, sampler=chosen, seed=arguments.seed)
    print(f"{count:,} samples of the {chosen}, seed {arguments.seed}")
    print_files(files)
    if find_run(arguments.run).is_dir():
        print(f"how good they are: {_command(arguments, '--evaluate')}")
    return 0


def _evaluate(model: TrainedModel, arguments: argparse.Namespace) -> int:
    from isthmus.tasks.outputs.places import results_folder
    from isthmus.tasks.sample_quality.measure import measure, write_quality

    folder = results_folder(arguments.output, arguments.run, "generate", "evaluation")
    found = measure(model, find_run(arguments.run), sampler=arguments.sampler, seed=arguments.seed)
    file = write_quality(folder, found, {"run": model.name, "seed": arguments.seed})
    print(_table(found), end="\n\n")
    if better := found.better_than_prior():
        name, share = better
        print(f"{name}: {share:.0%} nearer than the prior; {_command(arguments, '--sampler', name)}")
    print_files([file])
    return 0


def _table(found: SampleQuality) -> str:
    rows = [["", "Frechet distance", "precision", "recall", "density", "coverage"]]
    for name, each in found.sets.items():
        rows.append([name, f"{each.frechet:.4g}", *(f"{value:.3f}" for value in each.near)])
    accuracy = "" if found.accuracy is None else f"; accuracy {found.accuracy:.3f} on the test rows"
    return "\n".join(
        [
            aligned(rows, right=range(1, len(rows[0]))),
            f"against {found.rows:,} test rows; neighbourhoods of {found.compared:,} rows each",
            f"features: {found.features}{accuracy}",
            *map(printable, found.remarks),
        ]
    )


def _command(arguments: argparse.Namespace, *options: str) -> str:
    return command("isthmus", "generate", arguments.run, *options)


COMMAND = Command(
    summary="sample new examples, or measure them: isthmus generate RUN -n 64",
    run=run,
    parser=parser,
    words=run_folders,
    opens_configs=True,
)
