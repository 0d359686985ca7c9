"""`isthmus detect RUN DATA`: score new rows, and say which are anomalies and why."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from isthmus.cli.command import Command, add_device, add_model, add_overrides, run_folders
from isthmus.cli.evaluate import SAID
from isthmus.cli.tables import number, printable
from isthmus.common.errors import BadInput
from isthmus.common.messages import remark
from isthmus.runs.execution import signals


def parser() -> argparse.ArgumentParser:
    """The argument parser."""
    parser = argparse.ArgumentParser(
        prog="isthmus detect",
        description="Score each row of a file, or each image of a folder: a table with name, score, p-value, "
        "decision at the rate of false alarms that you ask for, and the features that caused the score.",
    )
    add_model(parser)
    parser.add_argument("data", metavar="DATA", help="a file, or a folder of images, like those of training")
    add_overrides(parser, "how to read DATA, where that differs from training: data.missing=mean")
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="a .csv or .parquet file; default: NAME_scores.csv"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an existing file")
    parser.add_argument(
        "--false-alarm-rate",
        type=float,
        metavar="R",
        help="share of normal rows that may be taken for anomalies; default: 0.01, or the least possible",
    )
    parser.add_argument(
        "--score",
        default="combined",
        choices=("combined", "mse", "likelihood", "whitened", "residual", "code"),
        help="default: combined",
    )
    add_device(parser)
    return parser


def run(argv: Sequence[str]) -> int:
    """Detect; returns the exit code."""
    arguments = parser().parse_intermixed_args(argv)
    options = data_options(arguments.overrides)

    from isthmus.tasks.detect import detect
    from isthmus.tasks.outputs.places import check_free
    from isthmus.tasks.trained_model import load_model

    signals.unwind()
    name = Path(arguments.data.removeprefix("example:")).name
    output = arguments.output or Path(f"{Path(name).stem}_scores.csv")
    check_free(output, overwrite=arguments.overwrite)
    model = load_model(arguments.run, device=arguments.device)
    found = detect(
        model,
        arguments.data,
        output,
        false_alarm_rate=arguments.false_alarm_rate,
        score=arguments.score,
        options=options,
    )
    for kind, text in found.remarks:
        if kind in SAID:
            print(remark(kind, text))
    print(
        f"{found.outliers:,} of {found.rows:,} rows are anomalies: {arguments.score} score above "
        f"{number(found.threshold)}, which {found.rate:.2%} of normal rows exceed"
    )
    if found.auroc:
        areas = ", ".join(f"{printable(label, 30)} {area:.3f}" for label, area in found.auroc.items())
        print(f"area under the ROC curve, each class against all others: {areas}")
    print(f"  {printable(output)}")
    return 0


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
