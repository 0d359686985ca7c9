"""How well scores rank anomalies above normal examples, where labels say which are which."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np

from isthmus.common.errors import BadInput
from isthmus.common.listing import class_name
from isthmus.tasks.inputs.examples import Examples

MOST_POINTS = 1_000  # of a curve


class Ranking(NamedTuple):
    """Anomalies against normal examples.

    Attributes:
        anomalies: the classes that are anomalies, in one phrase.
        positives: number of anomalies.
        auroc: area under the ROC curve: the probability that an anomaly has the larger score; 0.5 is chance.
        average_precision: area under the precision-recall curve; chance is the share of anomalies.
        false_positive_rate, true_positive_rate: of the ROC curve, by falling threshold. Shape: [P].
        recall, precision: of the precision-recall curve, by falling threshold. Shape: [Q].
    """

    anomalies: str
    positives: int
    auroc: float
    average_precision: float
    false_positive_rate: np.ndarray
    true_positive_rate: np.ndarray
    recall: np.ndarray
    precision: np.ndarray


def class_names(examples: Examples) -> list[str]:
    """The classes of the examples, sorted as their numbers; empty without labels."""
    if examples.labels is None:
        return []
    return [class_name(number, examples.label_names) for number in examples.labels.unique().tolist()]


def normal_rows(examples: Examples, normal: Collection[str]) -> np.ndarray:
    """Which rows have one of the normal classes. Shape: [N], bool."""
    assert examples.labels is not None
    labels, names = examples.labels, examples.label_names
    chosen = [number for number in labels.unique().tolist() if class_name(number, names) in normal]
    return np.isin(labels.numpy(), chosen)


def normal_classes(
    examples: Examples, *, trained: Sequence[str] | None, given: Sequence[str] | None
) -> list[str]:
    """The classes that are normal; empty if nobody says, or if there are no others.

    Args:
        examples: with labels.
        trained: the classes of the training rows, which are the normal ones if there are others.
        given: by the user, instead of these.

    Raises:
        BadInput: `given` names a class that the examples do not have.
    """
    present = class_names(examples)
    if given is not None:
        if not present:
            raise BadInput(
                "--normal", ",".join(given), "the data have no labels; name their column: data.label="
            )
        if absent := [name for name in given if name not in present]:
            shown = ", ".join(present[:20])
            raise BadInput("--normal", absent[0], f"is no class of the data; they are {shown}")
    normal = [name for name in (given or trained or ()) if name in present]
    return normal if len(normal) < len(present) else []


def rankings(examples: Examples, scores: np.ndarray, normal: Sequence[str]) -> list[Ranking]:
    """Anomalies against normal examples; each class against all others if no class is known to be normal.

    Args:
        examples: whose labels say what each is.
        scores: NaN for rows that are not ranked. Shape: [N].
        normal: from `normal_classes`.
    """
    present = class_names(examples)
    if len(present) < 2:
        return []
    if normal:
        others = [name for name in present if name not in normal]
        phrase = others[0] if len(others) == 1 else f"all but {', '.join(normal)}"
        anomalies = {phrase: ~normal_rows(examples, normal)}
    else:
        anomalies = {name: normal_rows(examples, [name]) for name in present}
    scored = ~np.isnan(scores)
    every = [(name, rows[scored]) for name, rows in anomalies.items()]
    return [_ranking(name, rows, scores[scored]) for name, rows in every if rows.any() and not rows.all()]


def _ranking(anomalies: str, positive: np.ndarray, scores: np.ndarray) -> Ranking:
    from sklearn.metrics import auc, average_precision_score, precision_recall_curve, roc_curve

    false, true, _ = roc_curve(positive, scores)
    precision, recall, _ = precision_recall_curve(positive, scores)
    return Ranking(
        anomalies,
        int(positive.sum()),
        float(auc(false, true)),
        float(average_precision_score(positive, scores)),
        _thinned(false),
        _thinned(true),
        _thinned(recall[::-1]),
        _thinned(precision[::-1]),
    )


def _thinned(points: np.ndarray) -> np.ndarray:
    """At most `MOST_POINTS` points, both ends included."""
    if len(points) <= MOST_POINTS:
        return points
    return points[np.linspace(0, len(points) - 1, MOST_POINTS).round().astype(int)]
