"""Writes a trained model as files that run without isthmus, with its preprocessing inside."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from isthmus.common.errors import one_of
from isthmus.common.progress import track
from isthmus.core.detection.detector import SCORES
from isthmus.data.tables.treatment import leaves_out
from isthmus.tasks.detection import threshold_for
from isthmus.tasks.engine import Engine
from isthmus.tasks.exporting import onnx_format, torch_format
from isthmus.tasks.exporting.checking import Truth, check
from isthmus.tasks.exporting.description import EXAMPLE, describe, readme
from isthmus.tasks.exporting.graphs import Scorer, graphs_of
from isthmus.tasks.exporting.preprocessing import ArrayPreprocessing, Preprocessing
from isthmus.tasks.exporting.rows import SHOWN, samples, validation_rows
from isthmus.tasks.exporting.table_preprocessing import TablePreprocessing
from isthmus.tasks.inputs.examples import Accepted
from isthmus.tasks.outputs.files import moving_into

WRITERS: dict[str, Any] = {"onnx": onnx_format, "torch": torch_format}


class Exported(NamedTuple):
    """What `export` wrote.

    Attributes:
        files: their paths.
        description: the content of model.json.
    """

    files: list[Path]
    description: dict[str, Any]


def export(
    engine: Engine,
    folder: Path,
    *,
    run: Path,
    format: str = "onnx",
    score: str = "combined",
    false_alarm_rate: float | None = None,
) -> Exported:
    """Write model, encoder and decoder, model.json, example.npz and README.txt to a folder.

    Every file is read again and compared with the model, on all rows at once and on one.

    Args:
        engine: of the model.
        folder: made if it is missing; files of the same names are replaced.
        run: the run folder or the file that the model is from.
        format: onnx, or torch for `torch.export`.
        score: see `core.detection.detector.Detector`.
        false_alarm_rate: that the threshold is for; see `threshold_for`.

    Raises:
        BadInput: the packages are missing, there is no such threshold, or a file differs from the model.
    """
    writer = WRITERS[one_of("--format", format, tuple(WRITERS))]
    scorer, rate = _scorer(engine, one_of("--score", score, SCORES), false_alarm_rate)
    preprocessing = preprocessing_of(engine.accepted)
    graphs = graphs_of(engine.autoencoder, preprocessing, scorer)
    for graph in graphs.values():
        writer.check_possible(graph)
    rows = validation_rows(run)
    decoded = samples(engine)
    given = engine.as_given(decoded if rows is None else rows)
    example = preprocessing.arrays(engine.as_given(decoded[:SHOWN]))  # rows of the data stay here
    truth = Truth.of(engine, preprocessing, given, score if scorer else None)
    decision = {"score": score, "threshold": scorer.threshold, "false_alarm_rate": rate} if scorer else {}
    about = {"name": run.absolute().stem, **engine.opened.file.run}
    description = describe(graphs, suffix=writer.SUFFIX, score=decision, about=about)
    with moving_into(folder) as beside:
        apart: dict[str, float] = {}
        for stem, graph in track(graphs.items(), "Writing and checking the files", of=len(graphs)):
            path = beside / f"{stem}{writer.SUFFIX}"
            writer.write(path, graph, json.dumps(description))
            for output, most in check(writer.run, path, graph, truth).items():
                apart[output] = max(most, apart.get(output, 0.0))
        description["checked"] = {
            "rows": len(truth.outputs["code"]),
            "of": "decoded samples" if rows is None else "validation rows",
            "largest_difference": apart,
            "tolerance": {output: truth.allowed[output] for output in apart},
        }
        (beside / "model.json").write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")
        np.savez(beside / EXAMPLE, **writer.taken(graphs["model"], example))
        fills = engine.accepted.record is not None and not leaves_out(engine.accepted.data)
        text = readme(description, graphs, suffix=writer.SUFFIX, fills=fills)
        (beside / "README.txt").write_text(text, encoding="utf-8")
        names = sorted(file.name for file in beside.iterdir())
    return Exported([folder / name for name in names], description)


def preprocessing_of(accepted: Accepted) -> Preprocessing:
    """What a graph does to the rows that a model accepts."""
    return (ArrayPreprocessing if accepted.record is None else TablePreprocessing)(accepted)


def _scorer(engine: Engine, score: str, rate: float | None) -> tuple[Scorer | None, float | None]:
    """What scores and decides, and the rate of false alarms; less for models without a detector or rows that
    its threshold could be set on, unless a rate is asked for.
    """
    if not engine.is_fitted and rate is None:
        return None, None
    held_out = engine.held_out
    if not held_out and rate is None:
        return Scorer(engine.detector, score, None), None
    limit, found = threshold_for(held_out.get(score, engine.detector.spread[:0]), rate)
    return Scorer(engine.detector, score, limit), found
