"""`isthmus export RUN`: write a trained model as files that run without isthmus."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence

from isthmus.cli.command import Command, add_model, add_output, add_score, run_folders
from isthmus.cli.tables import number, print_files
from isthmus.runs.execution import signals


def parser() -> argparse.ArgumentParser:
    """The argument parser."""
    parser = argparse.ArgumentParser(
        prog="isthmus export",
        description="Write a trained model as files that run without isthmus: encoder, decoder, and a model "
        "that gives code, reconstruction, anomaly score and decision. Scaling, categories and threshold are "
        "inside.",
    )
    add_model(parser)
    parser.add_argument(
        "--format",
        choices=("onnx", "torch"),
        default="onnx",
        help="ONNX, or torch.export (.pt2); default: onnx",
    )
    add_score(parser)
    add_output(parser, "export")
    return parser


def run(argv: Sequence[str]) -> int:
    """Export; returns the exit code."""
    arguments = parser().parse_args(argv)

    from isthmus.tasks.loading import load_model
    from isthmus.tasks.outputs.places import results_folder

    signals.unwind()
    model = load_model(arguments.run, device="cpu")
    folder = results_folder(arguments.output, arguments.run, "export", arguments.format)
    files = model.export(
        folder,
        format=arguments.format,
        score=arguments.score,
        false_alarm_rate=arguments.false_alarm_rate,
    )
    about = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    checked = about["checked"]
    apart = ", ".join(f"{name} {most:.1e}" for name, most in checked["largest_difference"].items())
    print(f"checked on {checked['rows']:,} {checked['of']}; largest differences from isthmus: {apart}")
    if about.get("threshold") is not None:
        print(
            f"outlier: {about['score']} score above {number(about['threshold'])}, "
            f"which at most {about['false_alarm_rate']:.2%} of normal rows exceed"
        )
    elif "score" in about:
        print("no outlier: the run had no validation rows to set a threshold on")
    else:
        print("no score: the model was packed before its run was done, or the data of its run are gone")
    print_files(files)
    return 0


COMMAND = Command(
    summary="write ONNX files that run without isthmus: isthmus export RUN",
    run=run,
    parser=parser,
    words=run_folders,
    opens_configs=True,
)
