"""`isthmus detect RUN [DATA]`: score rows, and say which are anomalies and why."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isthmus.cli.command import Command, add_data, add_device, add_model, add_score, data_of, run_folders
from isthmus.cli.tables import aligned, number, print_files, print_remarks, printable
from isthmus.common.errors import BadInput
from isthmus.common.listing import some
from isthmus.runs.execution import signals
from isthmus.runs.folder.lookup import find_run

if TYPE_CHECKING:
    from isthmus.tasks.scoring.detect import Found


def parser() -> argparse.ArgumentParser:
    """The argument parser."""
    parser = argparse.ArgumentParser(
        prog="isthmus detect",
        description="Score each row of a file, each image of a folder, or the test rows of the run: a table "
        "with name, score, p-value, decision at the rate of false alarms that you ask for, and the features "
        "that caused the score; and pictures: the histogram, ROC and precision-recall curves where there are "
        "labels, and the images with the highest scores.",
    )
    add_model(parser)
    add_data(parser, otherwise="the test rows of the run")
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="FILE",
        help="a .csv or .parquet file; default: NAME_scores.csv, or detect/test_scores.csv in the run folder",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an existing file")
    add_score(parser)
    parser.add_argument(
        "--normal",
        metavar="CLASS,...",
        help="the classes that are normal, for rates and curves; default: those of the training rows",
    )
    add_device(parser)
    return parser


def run(argv: Sequence[str]) -> int:
    """Detect; returns the exit code."""
    arguments = parser().parse_intermixed_args(argv)
    data, overrides = data_of(arguments)
    options = data_options(overrides) if data is not None else {}

    from isthmus.tasks.inputs.run_data import open_run_data, test_examples
    from isthmus.tasks.loading import load_model
    from isthmus.tasks.outputs.places import check_free, results_folder
    from isthmus.tasks.scoring.detect import detect, pictures

    signals.unwind()
    model = load_model(arguments.run, device=arguments.device)
    output, overwrite = arguments.output, arguments.overwrite
    if data is None:
        opened = open_run_data(find_run(arguments.run), overrides=overrides)
        examples: Any = test_examples(opened, model.accepted)
        if output is None:
            output = results_folder(None, arguments.run, "detect", "") / "test_scores.csv"
            overwrite = True
    else:
        output = output or Path(f"{Path(data.removeprefix('example:')).stem}_scores.csv")
    if data is not None or arguments.output is not None:
        for path in (output, *pictures(output)):
            check_free(path, overwrite=overwrite)
    if data is not None:
        examples = model.open_file(data, options=options)
    found = detect(
        model,
        examples,
        output,
        title=f"{model.name}: {data or 'test rows of the run'}",
        false_alarm_rate=arguments.false_alarm_rate,
        score=arguments.score,
        normal=arguments.normal.split(",") if arguments.normal else None,
    )
    if data is not None:  # of its own data the run said so before training
        print_remarks(found.remarks)
    _say(found, arguments.score)
    if data is None and opened.leaked:
        print(f"warning: a leak: {opened.leaked:,} of these rows were used in training")
    elif data is not None and model.was_trained_on(examples):
        print(
            "note: the model was trained on rows of these data; leave DATA out to score its test rows alone"
        )
    print_files([output, *found.figures])
    return 0


def _say(found: Found, score: str) -> None:
    print(
        f"{found.outliers:,} of {found.rows:,} rows are anomalies: {score} score above "
        f"{number(found.threshold)}, which at most {found.rate:.2%} of normal rows exceed"
    )
    low, high = found.rate_interval
    print(
        f"  set on {found.held_out:,} validation rows, so the rate is between {low:.2%} and {high:.2%} (95%)"
    )
    if found.normal:
        names = some([printable(name, 30) for name in found.normal])
        low, high = found.alarm_interval
        due = f"; {low:,} to {high:,} are expected (95%)"
        for what, (above, of), said in ((names, found.false_alarms, due), ("others", found.hits, "")):
            print(f"  {what}: {above:,} of {of:,} ({above / max(of, 1):.2%}){said}")
    if found.rankings:
        rows = [
            (
                printable(each.anomalies, 40),
                f"{each.positives:,}",
                f"{each.auroc:.3f}",
                f"{each.average_precision:.3f}",
            )
            for each in found.rankings
        ]
        print()
        print(aligned([("taken as anomalies", "rows", "AUROC", "average precision"), *rows], right=(1, 2, 3)))
        if not found.normal:
            print(
                "each class in turn, as the model was trained on all: --normal names those that are normal,"
            )
            print("and training with data.train_where=\"LABEL == 'NAME'\" learns them alone")
        print()


def data_options(overrides: Sequence[str]) -> dict[str, Any]:
    """The keys of the data that are given as data.KEY=VALUE, nested where they have dots."""
    import yaml
    from omegaconf import OmegaConf

    for override in overrides:
        key, equals, value = override.partition("=")
        if not equals or not key.startswith("data."):
            raise BadInput(key, value, "is no key of the data; give data.KEY=VALUE")
    try:
        given: Any = OmegaConf.to_container(OmegaConf.from_dotlist(list(overrides)))
    except yaml.YAMLError as error:
        raise BadInput("data", " ".join(overrides), "cannot be read; lists are [1,2]") from error
    return dict(given.get("data", {}))


COMMAND = Command(
    summary="score new rows for anomalies: isthmus detect RUN DATA",
    run=run,
    parser=parser,
    words=run_folders,
    opens_configs=True,
)
