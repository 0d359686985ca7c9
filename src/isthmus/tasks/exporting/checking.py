"""Compares what an exported file computes with what isthmus computes from the same rows.

isthmus reads, prepares and scores the rows in its own way, as for `isthmus detect`: the preprocessing inside
the graphs is checked with the model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from isthmus.common.errors import BadInput
from isthmus.core.autoencoder import Autoencoder
from isthmus.core.detection.detector import Detector
from isthmus.core.detection.observed import observe
from isthmus.tasks.engine import Engine
from isthmus.tasks.exporting.graphs import Graph
from isthmus.tasks.exporting.preprocessing import Preprocessing

TOLERANCE = 1e-4  # of the spread of a feature in training, of a code, and of a score
ROUNDING = 4  # times the rounding of isthmus itself, where that is larger: scores of exact reconstructions
TIES = 0.01  # share of categories and truth values that may differ: two are equally likely, up to rounding

Run = Callable[[Path, Graph, Mapping[str, np.ndarray]], dict[str, np.ndarray]]


class Truth(NamedTuple):
    """What isthmus computes from some rows.

    Attributes:
        inputs: the rows, by the names of the inputs of the graphs. Shapes: [N, ...].
        outputs: by name, but for the decision, which follows from the score. Shapes: [N, ...].
        units: that differences are measured in; NaN for what can only be equal or not. They broadcast.
        allowed: the largest difference, in these units.
    """

    inputs: dict[str, np.ndarray]
    outputs: dict[str, np.ndarray]
    units: dict[str, np.ndarray]
    allowed: dict[str, float]

    @classmethod
    def of(cls, engine: Engine, preprocessing: Preprocessing, given: Any, score: str | None) -> Truth:
        """Compute it.

        Args:
            engine: of the model.
            preprocessing: of the graphs.
            given: rows, as `Engine.as_given` returns them.
            score: None for no score.
        """
        examples = engine.examples(given)
        detector = None if score is None else engine.detector

        def computed(autoencoder: Autoencoder, detector: Detector | None) -> dict[str, Tensor]:
            def compute(x: Tensor) -> dict[str, Tensor]:
                x = x.to(next(autoencoder.parameters()).dtype)
                found = {"code": autoencoder.encode(x).z, "rows": autoencoder.reconstruct(x)}
                if detector is not None:
                    observed = observe(autoencoder, x, losses=score == "likelihood")
                    found["score"] = detector(observed, score)
                return found

            return engine.gathered(examples, compute)

        found = computed(engine.autoencoder, detector)
        exact = computed(deepcopy(engine.autoencoder).double(), detector and deepcopy(detector).double())
        rows = preprocessing.arrays(examples.restored(found.pop("rows")))
        outputs = {name: each.numpy() for name, each in found.items()}
        units = {"code": np.abs(outputs["code"]).max().clip(1)}
        if score is not None:
            units["score"] = np.abs(outputs["score"]).clip(1)
        allowed = {
            name: max(TOLERANCE, ROUNDING * difference(outputs[name], exact[name].numpy(), unit))
            for name, unit in units.items()
        }
        for field, each, unit in zip(
            preprocessing.outputs, rows.values(), preprocessing.units(), strict=True
        ):
            outputs[field.name], units[field.name], allowed[field.name] = each, unit, TOLERANCE
        return cls({**preprocessing.arrays(given), "code": outputs["code"]}, outputs, units, allowed)


def check(run: Run, path: Path, graph: Graph, truth: Truth) -> dict[str, float]:
    """Compare a file with the truth, on all rows at once and on the first alone.

    Args:
        run: computes the outputs of the file.
        path: of the file.
        graph: that it was written from.
        truth: what isthmus computes.

    Returns:
        The largest difference of each output, in the units of `truth`.

    Raises:
        BadInput: an output differs.
    """
    largest: dict[str, float] = {}
    for rows in (slice(None), slice(1)):
        found = run(path, graph, {field.name: truth.inputs[field.name][rows] for field in graph.inputs})
        outlier = found.pop("outlier", None)
        if outlier is not None and (outlier != ~(found["score"] <= np.float32(graph.threshold or 0))).any():
            raise _differs(path, "decision", 1, 0)
        for name, each in found.items():
            unit = truth.units[name]
            unit = unit[rows] if name == "score" else unit
            apart = difference(each, truth.outputs[name][rows], unit)
            if not apart <= truth.allowed[name]:
                raise _differs(path, name, apart, truth.allowed[name])
            largest[name] = max(largest.get(name, 0.0), apart)
    return largest


def difference(found: np.ndarray, truth: np.ndarray, unit: np.ndarray) -> float:
    """The largest difference in units; see `Truth`."""
    if found.shape != truth.shape:
        return float("inf")
    unit = np.broadcast_to(unit, truth.shape)
    whole = np.isnan(unit)
    if whole.any() and np.mean(found[whole] != truth[whole]) > TIES:
        return float("inf")
    numbers = np.abs(found[~whole].astype(np.float64) - truth[~whole].astype(np.float64)) / unit[~whole]
    return float(numbers.max(initial=0.0))


def _differs(path: Path, output: str, apart: float, allowed: float) -> BadInput:
    size = f"{apart:.2g} apart, {allowed:.2g} allowed"
    fix = f"gives another {output} than isthmus ({size}); nothing is written"
    return BadInput("export", path.name, fix)
