"""Scores the rows of a file, in order and in batches, to a table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from isthmus.common.atomic_files import remove
from isthmus.common.errors import BadInput
from isthmus.tasks.detection import Judged, alarm_interval, rate_interval
from isthmus.tasks.inputs.examples import Examples
from isthmus.tasks.outputs.files import TABLES, label_column, making, table_writer
from isthmus.tasks.ranking import Ranking, normal_classes, normal_rows, rankings
from isthmus.tasks.score_figure import draw_anomalies, draw_precision_recall, draw_roc, draw_scores
from isthmus.tasks.trained_model import TrainedModel

if TYPE_CHECKING:
    import pyarrow as pa

CAUSES = 3  # features that are named for each row
PICTURES = ("", "_roc", "_precision_recall", "_anomalies")  # how their names end


class Found(NamedTuple):
    """What `detect` found.

    Attributes:
        rows: number of rows that have a score.
        outliers: number of rows above the threshold.
        threshold: of the score.
        rate: of false alarms, that the threshold was set for.
        rate_interval: in which the rate is with 95% probability.
        held_out: number of validation rows that it was set on.
        normal: the classes that are normal; empty if that is not known.
        false_alarms: of how many normal rows how many are above the threshold; zeros if that is not known.
        alarm_interval: in which the number of false alarms is with 95% probability.
        hits: likewise of the other rows.
        rankings: how well the scores rank; empty without labels.
        figures: the pictures.
        remarks: how the data were read: (what, sentence).
    """

    rows: int
    outliers: int
    threshold: float
    rate: float
    rate_interval: tuple[float, float]
    held_out: int
    normal: list[str]
    false_alarms: tuple[int, int]
    alarm_interval: tuple[int, int]
    hits: tuple[int, int]
    rankings: list[Ranking]
    figures: list[Path]
    remarks: list[tuple[str, str]]


def pictures(output: Path) -> list[Path]:
    """The pictures that there may be beside a table: scores, ROC, precision and recall, anomalies."""
    return [output.with_name(f"{output.stem}{ending}.png") for ending in PICTURES]


def detect(
    model: TrainedModel,
    examples: Examples,
    output: Path,
    *,
    title: str,
    false_alarm_rate: float | None = None,
    score: str = "combined",
    normal: Sequence[str] | None = None,
) -> Found:
    """Write a table with a row for each example, and pictures beside it.

    Columns: ``row`` (in the file, from 0), ``name`` (id or file, if the data have them), ``label``
    (likewise), ``score``, ``p_value``, ``outlier``, and ``cause_1``, ``share_1`` to ``cause_3``, ``share_3``:
    the features whose squared standardised residuals are largest, and their shares in the sum. Rows with a
    missing cell that the model does not know what to do with are empty from ``score`` on. The pictures
    (see `pictures`) are the histogram of the scores; with labels, the ROC and precision-recall curves; and of
    images, those with the highest scores.

    Args:
        model: the trained model.
        examples: to score.
        output: a .csv or .parquet file, which is written atomically.
        title: of the pictures.
        false_alarm_rate: see `TrainedModel.detect`.
        score: see there.
        normal: the classes that are normal; None for those of the training rows.

    Raises:
        BadInput: the data cannot be read, or there is no threshold.
    """
    import pyarrow as pa

    if output.suffix.lower() not in TABLES:
        raise BadInput("--output", output, f"must end in {' or '.join(TABLES)}")
    limit, rate = model.threshold(false_alarm_rate, score=score)
    known = normal_classes(examples, trained=model.trained_classes, given=normal)
    scores = np.empty(len(examples), np.float32)
    with making(output.parent), table_writer(output) as write:
        features = pa.array(model.feature_names())
        start = 0
        for part in model.judged(examples, score=score):
            stop = start + len(part.score)
            scores[start:stop] = part.score
            write(_table(examples, start, part, limit, features))
            start = stop
    ranked = rankings(examples, scores, known)
    held_out = model.held_out_scores(score)
    groups = {"validation rows": held_out}
    scored = ~np.isnan(scores)
    above, false_alarms, hits = scores > limit, (0, 0), (0, 0)
    if known:
        normals = normal_rows(examples, known)
        own, others = scored & normals, scored & ~normals
        false_alarms, hits = ((int(above[each].sum()), int(each.sum())) for each in (own, others))
        groups |= {"normal": scores[own], "others": scores[others]}
    else:
        groups["scored rows"] = scores[scored]
    places = pictures(output)
    figures = [draw_scores(places[0], groups, threshold=limit, score=score, title=title)]
    if ranked:
        figures.append(draw_roc(places[1], ranked, title=title))
        figures.append(draw_precision_recall(places[2], ranked, title=title))
    if len(model.shape) == 3 and scored.any():
        figures.append(draw_anomalies(places[3], model, model.explain, examples, scores))
    for path in places:
        if path not in figures:
            remove(path)  # of an earlier call
    return Found(
        int(scored.sum()),
        int(above.sum()),
        limit,
        rate,
        rate_interval(len(held_out), rate),
        len(held_out),
        known,
        false_alarms,
        alarm_interval(len(held_out), rate, false_alarms[1]),
        hits,
        ranked,
        figures,
        list(examples.remarks),
    )


def _table(examples: Examples, start: int, part: Judged, limit: float, features: pa.Array) -> pa.Table:
    """The rows of a batch that begins at row `start`; `features` has all names."""
    import pyarrow as pa

    score, share = part.score, part.share.flatten(1)
    absent = np.isnan(score)

    def cells(values: np.ndarray) -> pa.Array:
        return pa.array(values, mask=absent)

    own = slice(start, start + len(score))
    columns: dict[str, Any] = {"row": examples.row_numbers(own)}
    if examples.names is not None:
        columns["name"] = [str(examples.names[row]) for row in range(own.start, own.stop)]
    if examples.labels is not None:
        columns["label"] = label_column(examples.labels[own], examples.label_names)
    columns |= {"score": cells(score), "p_value": cells(part.p_value), "outlier": cells(score > limit)}
    largest = share.topk(min(CAUSES, share.shape[1]), dim=1)
    for place in range(largest.values.shape[1]):
        columns[f"cause_{place + 1}"] = features.take(cells(largest.indices[:, place].numpy()))
        columns[f"share_{place + 1}"] = cells(largest.values[:, place].numpy())
    return pa.table(columns)
