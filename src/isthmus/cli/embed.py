"""`isthmus embed RUN [DATA]`: the codes of all rows, a map of them, and how good they are beside PCA."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from isthmus.cli.command import Command, add_data, add_device, add_model, add_output, data_of, run_folders
from isthmus.cli.detect import data_options
from isthmus.cli.tables import aligned, print_files, print_remarks, printable
from isthmus.runs.execution import signals
from isthmus.runs.folder.lookup import find_run

if TYPE_CHECKING:
    from isthmus.tasks.embedding.quality import Quality


def parser() -> argparse.ArgumentParser:
    """The argument parser."""
    parser = argparse.ArgumentParser(
        prog="isthmus embed",
        description="Write the codes of all rows as a table, a map of them as a picture and as a page that "
        "shows the examples, and how good the codes are beside those of PCA.",
    )
    add_model(parser)
    add_data(parser, otherwise="the data of the run, all parts")
    parser.add_argument(
        "--map",
        choices=("pca", "umap", "tsne"),
        help="default: the codes themselves if they have one or two numbers, or else tsne",
    )
    parser.add_argument(
        "--table",
        default="parquet",
        choices=("parquet", "csv", "npy"),
        help="format of the codes; npy has the codes alone; default: parquet",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the map; default: 0")
    add_output(parser, "embed")
    add_device(parser)
    return parser


def run(argv: Sequence[str]) -> int:
    """Embed; returns the exit code."""
    arguments = parser().parse_intermixed_args(argv)
    data, overrides = data_of(arguments)
    options = data_options(overrides) if data is not None else {}

    from isthmus.tasks.embedding.embed import embed
    from isthmus.tasks.embedding.mapping import check_method
    from isthmus.tasks.embedding.rows import own_rows, rows_of
    from isthmus.tasks.loading import load_model
    from isthmus.tasks.outputs.places import results_folder

    signals.unwind()
    check_method(arguments.map)
    model = load_model(arguments.run, device=arguments.device)
    name = "own" if data is None else Path(os.path.abspath(data.removeprefix("example:"))).stem or "data"
    folder = results_folder(arguments.output, arguments.run, "embed", name)
    rows = (
        own_rows(model, find_run(arguments.run), overrides) if data is None else rows_of(model, data, options)
    )
    if data is not None:  # of its own data the run said so before training
        print_remarks(rows.examples.remarks)
    done = embed(
        model,
        rows,
        folder,
        data="the run's own data" if data is None else data,
        method=arguments.map,
        table=arguments.table,
        seed=arguments.seed,
    )
    print(f"{done.rows:,} codes of {model.latent_dim} numbers; map: {done.map.text}\n")
    if done.quality is not None:
        print(_table(done.quality), end="\n\n")
    print_files(done.files)
    return 0


def _table(quality: Quality) -> str:
    """Measures as columns, with a line on what they are of."""
    names = list(quality.autoencoder)
    rows = [["", *names]]
    for name, found in (("autoencoder", quality.autoencoder), (f"PCA ({quality.components})", quality.pca)):
        cells = [found[each] for each in names]
        rows.append([name, *("" if cell is None else f"{cell:.4g}" for cell in cells)])
    return "\n".join([aligned(rows, right=range(1, len(rows[0]))), *map(printable, quality.text)])


COMMAND = Command(
    summary="codes, a map of them, and their quality: isthmus embed RUN [DATA]",
    run=run,
    parser=parser,
    words=run_folders,
    opens_configs=True,
)
