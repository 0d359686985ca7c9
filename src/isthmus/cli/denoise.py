"""`isthmus denoise RUN INPUT OUTPUT`: remove noise from files; without INPUT, measure how well that works."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from isthmus.cli.command import (
    Command,
    add_device,
    add_model,
    add_output,
    add_overrides,
    is_override,
    run_folders,
)
from isthmus.cli.detect import data_options
from isthmus.cli.tables import aligned, print_files, print_remarks, printable
from isthmus.common.errors import BadInput
from isthmus.runs.execution import signals

LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6)


def parser() -> argparse.ArgumentParser:
    """The argument parser."""
    parser = argparse.ArgumentParser(
        prog="isthmus denoise",
        description="Remove noise from an array, a table, an image or a folder of images. Without INPUT: add "
        "Gaussian noise to the run's own test set, remove it with the model and with classical methods, and "
        "write the errors as table, curve and picture.",
    )
    add_model(parser)
    parser.add_argument(
        "input", metavar="INPUT", nargs="?", help="a file, or a folder of images; these may have any size"
    )
    parser.add_argument(
        "target",
        metavar="OUTPUT",
        nargs="?",
        help=".npy or .npz for an array, .csv or .parquet for a table, .png for an image, a new folder for a "
        "folder",
    )
    add_overrides(parser, "how to read INPUT, where that differs from training: data.missing=mean")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing file")
    parser.add_argument(
        "--overlap",
        type=float,
        default=0.5,
        metavar="R",
        help="part of a tile that its neighbours share, where images do not have the size of training; "
        "default: 0.5",
    )
    parser.add_argument(
        "--levels",
        type=_levels,
        default=LEVELS,
        metavar="S,S,...",
        help="standard deviations of the noise, in the unit of scaled data; default: 0.1,0.2,...,0.6",
    )
    parser.add_argument(
        "--images",
        type=int,
        default=500,
        metavar="N",
        help="test images that classical filters are measured on; default: 500",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the noise; default: 0")
    add_output(parser, "denoise")
    add_device(parser)
    return parser


def run(argv: Sequence[str]) -> int:
    """Denoise or evaluate; returns the exit code."""
    arguments = parser().parse_intermixed_args(argv)
    words = [word for word in (arguments.input, arguments.target, *arguments.overrides) if word is not None]
    overrides = [word for word in words if is_override(word)]
    places = [word for word in words if word not in overrides]
    if not places:
        return _evaluate(arguments, overrides)
    if arguments.output is not None:
        raise BadInput("--output", arguments.output, "is for what is measured, without INPUT; give OUTPUT")
    if len(places) != 2:
        what = "OUTPUT is missing" if len(places) == 1 else "there are too many"
        raise BadInput("INPUT OUTPUT", " ".join(places), f"{what}; give one INPUT and one OUTPUT, or neither")

    from isthmus.tasks.denoising.files import denoise_file
    from isthmus.tasks.loading import load_model

    signals.unwind()
    options = data_options(overrides)
    output = Path(places[1]).expanduser()
    model = load_model(arguments.run, device=arguments.device)
    written = denoise_file(
        model,
        places[0],
        output,
        overlap=arguments.overlap,
        overwrite=arguments.overwrite,
        options=options,
    )
    print_remarks(written.remarks)
    print(f"{written.examples:,} {written.what} denoised")
    print_files([output])
    return 0


def _evaluate(arguments: argparse.Namespace, overrides: Sequence[str]) -> int:
    from isthmus.tasks.denoising.doubts import doubts, shortfalls
    from isthmus.tasks.denoising.measuring import measure
    from isthmus.tasks.loading import load_model
    from isthmus.tasks.outputs.places import results_folder

    signals.unwind()
    model = load_model(arguments.run, device=arguments.device)
    folder = results_folder(arguments.output, arguments.run, "denoise", "test")
    done = measure(
        model,
        arguments.run,
        folder,
        levels=arguments.levels,
        images=arguments.images,
        seed=arguments.seed,
        overrides=overrides,
        said=lambda line: print(line, flush=True),
    )
    bounded = done.scores[0].psnr == done.scores[0].psnr  # not NaN
    names = dict.fromkeys(score.method for score in done.scores)
    rows = {score.method: score.rows for score in done.scores}
    head = ["PSNR in dB at noise of" if bounded else "root mean squared error", "rows"]
    table = [[*head, *(f"{level:g}" for level in arguments.levels)]]
    for name in names:
        own = [score for score in done.scores if score.method == name]
        cells = [f"{score.psnr:.2f}" if bounded else f"{score.mse**0.5:.4f}" for score in own]
        table.append([name, f"{rows[name]:,}", *cells])
    print(aligned(table, right=range(1, len(table[0]))))
    warnings = (*shortfalls(done.scores), *doubts(model.config["noise"]))
    print_remarks(("warning", text) for text in warnings)
    print_files(done.files)
    return 0


def _levels(typed: str) -> tuple[float, ...]:
    try:
        return tuple(dict.fromkeys(float(each) for each in typed.split(",")))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{printable(typed)} is no list of numbers; give 0.1,0.2") from error


COMMAND = Command(
    summary="remove noise: isthmus denoise RUN INPUT OUTPUT",
    run=run,
    parser=parser,
    words=run_folders,
    opens_configs=True,
)
