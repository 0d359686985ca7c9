"""Anomaly scores on the tables that ship with scikit-learn, one class being normal at a time.

Half of the normal rows are trained on, and a quarter of these sets the threshold; all others are the test
set. scikit-learn's detectors have their defaults and are given the same half, standardised. isthmus has the
settings of `experiment=table_outliers` for all tables.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

SETS = ("iris", "wine", "breast_cancer", "digits")
OURS = "isthmus"


class Table(NamedTuple):
    """A table, one of whose classes is normal.

    Attributes:
        name: of the data set.
        normal: the class that is normal.
        x: features. Shape: [N, F].
        part: train, val or test. Shape: [N].
        anomaly: Shape: [N], bool.
    """

    name: str
    normal: str
    x: np.ndarray
    part: np.ndarray
    anomaly: np.ndarray

    @property
    def known(self) -> np.ndarray:
        """Standardised features of the training and validation rows. Shape: [K, F]."""
        return self._scaler.transform(self.x[self.part != "test"])

    @property
    def new(self) -> np.ndarray:
        """Standardised features of the test rows. Shape: [M, F]."""
        return self._scaler.transform(self.x[self.part == "test"])

    @property
    def _scaler(self):
        from sklearn.preprocessing import StandardScaler

        return StandardScaler().fit(self.x[self.part != "test"])


def tables(seed: int) -> Iterator[Table]:
    """Each class of each data set; the seed draws the split."""
    from sklearn import datasets

    for name in SETS:
        data = getattr(datasets, f"load_{name}")()
        for label, normal in enumerate(data.target_names):
            anomaly = data.target != label
            rows = np.random.default_rng(seed).permutation(np.flatnonzero(~anomaly))
            half = len(rows) // 2
            part = np.full(len(anomaly), "test", dtype=object)
            part[rows[:half]] = "train"
            part[rows[: half // 4]] = "val"
            yield Table(name, str(normal), data.data, part, anomaly)


def own_scores(table: Table, folder: Path, seed: int, train: Callable[..., Path]) -> np.ndarray:
    """The default score of the test rows. Shape: [M].

    Args:
        table: to train on.
        folder: of the run.
        seed: of the network.
        train: takes a run folder and overrides, and returns the run.
    """
    import pandas as pd

    import isthmus

    frame = pd.DataFrame(table.x, columns=[f"x{at}" for at in range(table.x.shape[1])])
    path = folder.with_suffix(".parquet")
    path.parent.mkdir(parents=True, exist_ok=True)
    frame.assign(part=table.part.astype(str)).to_parquet(path)
    own = (f"data.path={path}", "data.label=null", "data.train_where=null", "data.split_column=part")
    run = train(folder, "experiment=table_outliers", *own, "data.prune=false", f"seed={seed}")
    return isthmus.load(run, device="cpu").score(frame[table.part == "test"])


def reference_scores(table: Table, seed: int) -> dict[str, np.ndarray]:
    """Scores of the test rows by scikit-learn's detectors; larger is more anomalous. Shape: [M] each."""
    from sklearn.ensemble import IsolationForest
    from sklearn.neighbors import LocalOutlierFactor, NearestNeighbors
    from sklearn.svm import OneClassSVM

    known, new = table.known, table.new
    with warnings.catch_warnings(action="ignore"):  # that there are fewer than 20 neighbours
        factor = LocalOutlierFactor(novelty=True).fit(known)
        return {
            "LocalOutlierFactor": -factor.score_samples(new),
            "IsolationForest": -IsolationForest(random_state=seed).fit(known).score_samples(new),
            "OneClassSVM": -OneClassSVM().fit(known).score_samples(new),
            "5 neighbours' distance": NearestNeighbors(n_neighbors=5).fit(known).kneighbors(new)[0].mean(1),
        }


def areas(base: Path, seed: int, train: Callable[..., Path]) -> dict[str, dict[str, list[float]]]:
    """The area under the ROC curve of each class, by data set and detector; see `own_scores`."""
    from sklearn.metrics import roc_auc_score

    found: dict[str, dict[str, list[float]]] = {}
    for table in tables(seed):
        folder = base / f"table_{table.name}_{table.normal}_{seed}"
        scores = {OURS: own_scores(table, folder, seed, train), **reference_scores(table, seed)}
        for detector, each in scores.items():
            area = float(roc_auc_score(table.anomaly[table.part == "test"], each))
            found.setdefault(table.name, {}).setdefault(detector, []).append(area)
    return found


def printed(found: dict[str, dict[str, list[float]]]) -> None:
    """Print the means of each data set, of all classes, and of the data sets."""
    detectors = list(next(iter(found.values())))
    print("  " + "".join(f"{each:>24}" for each in ["", *detectors]))
    rows = {name: [np.mean(each[detector]) for detector in detectors] for name, each in found.items()}
    rows["mean of data sets"] = list(np.mean(list(rows.values()), axis=0))
    every = [np.concatenate([each[detector] for each in found.values()]) for detector in detectors]
    rows["mean of classes"] = [np.mean(each) for each in every]
    for name, row in rows.items():
        print(f"  {name:>24}" + "".join(f"{value:>24.4f}" for value in row), flush=True)
