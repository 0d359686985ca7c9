"""Scores the rows of a file, in order and in batches, to a table."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from isthmus.common.errors import BadInput
from isthmus.tasks.detection import Judged
from isthmus.tasks.inputs.examples import Examples
from isthmus.tasks.outputs.files import TABLES, table_writer
from isthmus.tasks.trained_model import TrainedModel

if TYPE_CHECKING:
    import pyarrow as pa

CAUSES = 3  # features that are named for each row


class Found(NamedTuple):
    """What `detect` found.

    Attributes:
        rows: number of rows.
        outliers: number of rows above the threshold.
        threshold: of the score.
        rate: of false alarms, that the threshold was set for.
        auroc: area under the ROC curve, for each class against all others; empty without labels.
        remarks: how the data were read: (what, sentence).
    """

    rows: int
    outliers: int
    threshold: float
    rate: float
    auroc: Mapping[str, float]
    remarks: list[tuple[str, str]]


def detect(
    model: TrainedModel,
    data: str,
    output: Path,
    *,
    false_alarm_rate: float | None = None,
    score: str = "combined",
    options: Mapping[str, Any] | None = None,
) -> Found:
    """Write a table with a row for each example: its name, score, p-value, decision and causes.

    Columns: ``row`` (from 0), ``name`` (id or file, if the data have them), ``label`` (likewise), ``score``,
    ``p_value``, ``outlier``, and ``cause_1``, ``share_1`` to ``cause_3``, ``share_3``: the features whose
    squared standardised residuals are largest, and their shares in the sum.

    Args:
        model: the trained model.
        data: a file or folder; see `file_examples`.
        output: a .csv or .parquet file, which is written atomically.
        false_alarm_rate: see `TrainedModel.detect`.
        score: see there.
        options: how to read the data, as the keys of `data` in a config.

    Raises:
        BadInput: the data cannot be read, or there is no threshold.
    """
    import pyarrow as pa

    if output.suffix.lower() not in TABLES:
        raise BadInput("--output", output, f"must end in {' or '.join(TABLES)}")
    limit, rate = model.threshold(false_alarm_rate, score=score)
    examples = model.open_file(data, options=options)
    scores = np.empty(len(examples), np.float32)
    with table_writer(output) as write:
        features = pa.array(model.feature_names())
        start = 0
        for part in model.judged(examples, score=score):
            stop = start + len(part.score)
            scores[start:stop] = part.score
            write(_table(examples, start, part, limit, features))
            start = stop
    outliers = int((scores > limit).sum())
    return Found(len(scores), outliers, limit, rate, _auroc(examples, scores), list(examples.remarks))


def _table(examples: Examples, start: int, part: Judged, limit: float, features: pa.Array) -> pa.Table:
    """The rows of a batch that begins at row `start`; `features` has all names."""
    import pyarrow as pa

    score, share = part.score, part.share.flatten(1)
    rows = range(start, start + len(score))
    columns: dict[str, Any] = {"row": np.arange(rows.start, rows.stop)}
    if examples.names is not None:
        columns["name"] = [str(examples.names[row]) for row in rows]
    if examples.labels is not None:
        labels = examples.labels[rows.start : rows.stop].numpy()
        names = examples.label_names
        columns["label"] = labels if names is None else pa.array(names).take(pa.array(labels))
    columns |= {"score": score, "p_value": part.p_value, "outlier": score > limit}
    largest = share.topk(min(CAUSES, share.shape[1]), dim=1)
    for place in range(largest.values.shape[1]):
        columns[f"cause_{place + 1}"] = features.take(pa.array(largest.indices[:, place].numpy()))
        columns[f"share_{place + 1}"] = largest.values[:, place].numpy()
    return pa.table(columns)


def _auroc(examples: Examples, scores: np.ndarray) -> dict[str, float]:
    """How well the score tells each class from all others; 0.5 is chance, 1 perfect."""
    if examples.labels is None:
        return {}
    from sklearn.metrics import roc_auc_score

    labels, names = examples.labels.numpy(), examples.label_names
    present = np.unique(labels)
    if len(present) < 2:
        return {}
    return {
        str(number if names is None else names[number]): float(roc_auc_score(labels == number, scores))
        for number in present
    }
