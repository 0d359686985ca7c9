"""`isthmus generate RUN`: sample new examples."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from isthmus.cli.command import Command, add_device, add_model, add_output, run_folders
from isthmus.cli.tables import print_files
from isthmus.runs.execution import signals


def parser() -> argparse.ArgumentParser:
    """The argument parser."""
    parser = argparse.ArgumentParser(
        prog="isthmus generate",
        description="Sample new examples: of images also interpolations, traversals of the codes and, where "
        "codes have two numbers, the plane of them.",
    )
    add_model(parser)
    parser.add_argument("-n", dest="count", type=int, default=64, metavar="N", help="samples; default: 64")
    parser.add_argument(
        "--sampler",
        choices=("prior", "mixture"),
        help="the prior, or a Gaussian mixture fitted to the codes; default: the prior if there is one",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the random numbers; default: 0")
    add_output(parser, "generate")
    add_device(parser)
    return parser


def run(argv: Sequence[str]) -> int:
    """Generate; returns the exit code."""
    arguments = parser().parse_args(argv)

    from isthmus.tasks.generate import generate
    from isthmus.tasks.loading import load_model
    from isthmus.tasks.outputs.places import results_folder

    signals.unwind()
    model = load_model(arguments.run, device=arguments.device)
    chosen = arguments.sampler or model.default_sampler
    folder = results_folder(arguments.output, arguments.run, "generate", chosen)
    files = generate(model, folder, count=arguments.count, sampler=chosen, seed=arguments.seed)
    print(f"{arguments.count:,} samples of the {chosen}, seed {arguments.seed}")
    print_files(files)
    return 0


COMMAND = Command(
    summary="sample new examples: isthmus generate RUN -n 64",
    run=run,
    parser=parser,
    words=run_folders,
    opens_configs=True,
)
