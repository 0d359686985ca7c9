"""How good codes are, beside those of PCA with as many numbers.

- ``mse``: mean squared error of the reconstruction, per feature, of scaled values, as a run logs it.
- ``knn``, ``linear``: accuracy of five nearest neighbours, and of logistic regression on standardised codes.
- ``trustworthiness``: whether neighbours among codes are neighbours among the data; ``continuity``: the
  converse (Venna and Kaski 2001, "Neighborhood preservation in nonlinear projection methods"). 1 is perfect.
"""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import numpy as np
import torch

from isthmus.data.loading.splits import evenly_spaced
from isthmus.tasks.embedding.division import Division
from isthmus.tasks.embedding.encoded import Encoded
from isthmus.training.figures.plane import standard

NEIGHBOURS = 5
MOST_COMPARED = 2_000  # rows whose neighbours are compared
MOST_CLASSES = 100
ITERATIONS = 1_000  # of logistic regression


class Quality(NamedTuple):
    """Measures by name; those that cannot be had are None.

    Attributes:
        autoencoder: of its codes.
        pca: of the codes of PCA.
        components: of PCA: fewer than the code has numbers if there are too few rows or features.
        text: which rows they are of, and why some are missing.
    """

    autoencoder: dict[str, float | None]
    pca: dict[str, float | None]
    components: int
    text: list[str]


def quality(
    encoded: Encoded, division: Division, labels: np.ndarray | None, why: str, *, seed: int
) -> Quality:
    """Compare codes with those of PCA.

    Args:
        encoded: with the values of all rows of `division`.
        division: which rows are fitted on and scored on.
        labels: classes of all rows; None if they have none. Shape: [N].
        why: there are no classes, if there are none.
        seed: of PCA.
    """
    from sklearn.decomposition import PCA

    fitted, scored = division.fitted, division.scored
    x, new, unit = _standard(*(encoded.values(rows).flatten(1) for rows in (fitted, scored)))
    components = min(encoded.codes.shape[1], *x.shape)
    pca = PCA(components, random_state=seed).fit(x)
    codes = pca.transform(x), pca.transform(new)
    error = np.square(new - pca.inverse_transform(codes[1]), dtype=np.float64).mean() * unit**2
    measured: list[dict[str, float | None]] = [
        {"mse": float(encoded.mse[scored].mean(dtype=np.float64))},
        {"mse": float(error)},
    ]
    own_codes, _ = standard(encoded.codes[np.append(fitted, scored)])
    spaces = ((own_codes[: len(fitted)], own_codes[len(fitted) :]), codes)
    text = [f"PCA, kNN and linear probe: fitted on {division.text}"]
    classes = None if labels is None else (labels[fitted], labels[scored])
    if classes is not None and (reason := _unprobed(classes[0])):
        classes, why = None, reason
    if classes is None:
        text.append(f"no accuracies: {why}")
    for found, (own, held_out) in zip(measured, spaces, strict=True):
        found |= _accuracies(own, held_out, *classes) if classes else {"knn": None, "linear": None}
        found |= _neighbours(new, held_out)
    return Quality(measured[0], measured[1], components, text)


def _standard(x: torch.Tensor, new: torch.Tensor) -> tuple[np.ndarray, np.ndarray, float]:
    """Centred by the mean of `x` and divided by one number, which is returned: squares do not overflow.

    In place.
    """
    mean = x.mean(0, dtype=torch.float64).float()
    unit = float(x.sub_(mean).abs().max()) or 1.0
    return x.div_(unit).numpy(), new.sub_(mean).div_(unit).numpy(), unit


def _unprobed(classes: np.ndarray) -> str:
    """Why no classifier is fitted to these classes; "" if there is no reason."""
    count = len(np.unique(classes))
    if count < 2:
        return "all rows that are fitted on are of one class"
    return f"there are {count:,} classes, more than {MOST_CLASSES}" if count > MOST_CLASSES else ""


def _accuracies(
    codes: np.ndarray, new: np.ndarray, classes: np.ndarray, actual: np.ndarray
) -> dict[str, float | None]:
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    knn = KNeighborsClassifier(min(NEIGHBOURS, len(codes)))
    linear = make_pipeline(StandardScaler(), LogisticRegression(max_iter=ITERATIONS))
    with warnings.catch_warnings(action="ignore"):  # near enough
        return {
            "knn": float(knn.fit(codes, classes).score(new, actual)),
            "linear": float(linear.fit(codes, classes).score(new, actual)),
        }


def _neighbours(x: np.ndarray, codes: np.ndarray) -> dict[str, float | None]:
    """See the module. Shapes: [N, F], [N, D]."""
    from sklearn.manifold import trustworthiness

    if len(x) <= 2 * NEIGHBOURS:
        return {"trustworthiness": None, "continuity": None}
    some = evenly_spaced(torch.arange(len(x)), MOST_COMPARED).numpy()
    data, made = x[some], codes[some]
    return {
        "trustworthiness": float(trustworthiness(data, made, n_neighbors=NEIGHBOURS)),
        "continuity": float(trustworthiness(made, data, n_neighbors=NEIGHBOURS)),
    }


def plain(found: Quality, about: dict[str, Any]) -> dict[str, Any]:
    """The content of quality.json."""
    return {
        **about,
        "autoencoder": found.autoencoder,
        "pca": found.pca,
        "pca_components": found.components,
        "neighbours": NEIGHBOURS,
        "remarks": found.text,
    }
