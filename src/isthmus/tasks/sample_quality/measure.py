"""How good samples are: how far they are from test rows, beside training rows and reconstructions."""

from __future__ import annotations

import math
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from isthmus.common.atomic_files import write_text
from isthmus.common.errors import BadInput
from isthmus.core.metrics.frechet import frechet_distance, moments
from isthmus.core.metrics.neighbourhoods import Neighbourhoods, compare, radii
from isthmus.data.loading.splits import evenly_spaced
from isthmus.runs.folder.json_text import as_json
from isthmus.runs.packed.flow import MOST_DIM
from isthmus.runs.run_data import is_same_data
from isthmus.tasks.coding.draw import SAMPLERS
from isthmus.tasks.inputs.run_data import open_run_data, run_examples
from isthmus.tasks.inputs.sources import SourceExamples
from isthmus.tasks.outputs.places import made
from isthmus.tasks.sample_quality.features import FeatureSpace, feature_space
from isthmus.tasks.trained_model import TrainedModel

NEIGHBOURS = 5
FEWEST = 2 * NEIGHBOURS  # test rows
MOST, MOST_COMPARED, MOST_TRAINED = 10_000, 5_000, 60_000  # rows
MOST_VALUES = 64 << 20  # of the rows that the features are trained on, which are in memory
STEP = 1_000  # rows that are read together
WORTH = 0.2  # share by which a sampler has to be better than the prior to be recommended
REAL, RECONSTRUCTED = "training rows", "reconstructions"


class Measured(NamedTuple):
    """Measures of a set of rows against test rows.

    Attributes:
        frechet: Fréchet distance, from `rows` of each.
        near: by neighbourhoods, from at most `MOST_COMPARED` of each.
        rows: number of rows.
    """

    frechet: float
    near: Neighbourhoods
    rows: int


class SampleQuality(NamedTuple):
    """What `measure` found.

    Attributes:
        sets: by name: training rows, reconstructions of the test rows, and each sampler.
        rows: number of test rows.
        compared: number of rows whose neighbourhoods are compared.
        features: what they are.
        accuracy: of the classifier on the test rows; None if there is none.
        remarks: what is missing, and why.
    """

    sets: dict[str, Measured]
    rows: int
    compared: int
    features: str
    accuracy: float | None
    remarks: list[str]

    def better_than_prior(self) -> tuple[str, float] | None:
        """The sampler with the smallest Fréchet distance, and by which share it is below that of the prior.

        None if there is no prior, or no sampler is below it by `WORTH`.
        """
        prior = self.sets.get("prior")
        if prior is None:
            return None
        distances = {name: self.sets[name].frechet for name in SAMPLERS if name in self.sets}
        best = min(distances, key=distances.__getitem__)
        share = 1 - distances[best] / max(prior.frechet, 1e-12)
        return (best, share) if share > WORTH else None

    def plain(self) -> dict[str, Any]:
        """The content of quality.json."""
        sets = {
            name: {"frechet_distance": each.frechet, **each.near._asdict(), "rows": each.rows}
            for name, each in self.sets.items()
        }
        return {
            "test_rows": self.rows,
            "rows_of_neighbourhoods": self.compared,
            "neighbours": NEIGHBOURS,
            "features": self.features,
            "classifier_accuracy": self.accuracy,
            **sets,
            "remarks": self.remarks,
        }


def measure(model: TrainedModel, run: Path, *, sampler: str | None = None, seed: int = 0) -> SampleQuality:
    """Compare samples with the run's test rows, as many as there are of these, at most `MOST`.

    All are compared as values of the model: those of bounded data are clipped to their range, and categories
    are the most probable ones.

    Args:
        model: of the run.
        run: its folder.
        sampler: see `TrainedModel.generate`; None for all that there are.
        seed: of the samples.

    Raises:
        BadInput: it is no run, or its data are gone or have changed, or it has too few test rows.
    """
    opened = open_run_data(run)
    if not is_same_data(opened.trained_on, opened.data):
        raise BadInput("RUN", run, "its data or their split have changed since training")
    split, features = opened.data.split, math.prod(model.shape)
    if (fewest := min(len(split.test), len(split.train))) < FEWEST:
        raise BadInput("RUN", run, f"has {fewest} test or training rows; a comparison takes {FEWEST} or more")
    test = run_examples(opened, model.accepted, evenly_spaced(split.test, MOST))
    known = evenly_spaced(
        torch.cat([split.train, split.val]), min(MOST_TRAINED, max(1, MOST_VALUES // features))
    )
    trained_on = run_examples(opened, model.accepted, known)
    space = feature_space(torch.cat(list(_values(trained_on))), trained_on.labels)
    real = _features(space, _values(test))
    accuracy = None
    if space.predict is not None and test.labels is not None:
        accuracy = float((space.predict(real) == test.labels).double().mean())
    judge = _Judge(real)
    own = run_examples(opened, model.accepted, evenly_spaced(split.train, len(test)))
    sets = {
        REAL: judge(_features(space, _values(own))),
        RECONSTRUCTED: judge(_features(space, _given(model, model.reconstructed(test)))),
    }
    samplers, remarks = ([sampler], []) if sampler else _samplers(model)
    for each in samplers:
        codes = model.sample_codes(len(test), sampler=each, seed=seed)
        sets[each] = judge(_features(space, _given(model, model.decoded(codes))))
    return SampleQuality(sets, len(test), judge.compared, space.text, accuracy, remarks)


def write_quality(folder: Path, found: SampleQuality, about: dict[str, Any]) -> Path:
    """Write quality.json to a folder, which is made if it is missing."""
    path = made(folder) / "quality.json"
    write_text(path, as_json({**about, **found.plain()}))
    return path


class _Judge:
    """Compares features with those of the test rows.

    Args:
        real: Shape: [N, D].
    """

    def __init__(self, real: Tensor) -> None:
        self._moments = moments(real)
        self._near = evenly_spaced(real, MOST_COMPARED)
        self._radii = radii(self._near, NEIGHBOURS)
        self.compared = len(self._near)

    def __call__(self, made: Tensor) -> Measured:
        near = compare(self._near, evenly_spaced(made, MOST_COMPARED), NEIGHBOURS, real_radii=self._radii)
        return Measured(frechet_distance(moments(made), self._moments), near, len(made))


def _samplers(model: TrainedModel) -> tuple[list[str], list[str]]:
    """Those that there are, and why others are not."""
    found, remarks = ["mixture"], []
    if model.has_prior:
        found.insert(0, "prior")
    if find_spec("zuko") is None:
        remarks.append("no flow: pip install 'isthmus[flow]'")
    elif model.latent_dim > MOST_DIM:
        remarks.append(f"no flow: codes of more than {MOST_DIM} numbers")
    else:
        found.append("flow")
    return found, remarks


def _values(examples: SourceExamples) -> Iterator[Tensor]:
    """Rows as values of the model, in order. Shapes: [B, ...]."""
    for start in range(0, len(examples), STEP):
        yield examples.take(start, start + STEP).float()


def _features(space: FeatureSpace, values: Iterator[Tensor]) -> Tensor:
    return torch.cat([space.features(part) for part in values])


def _given(model: TrainedModel, values: Iterator[Tensor]) -> Iterator[Tensor]:
    """Decoded values as a user gets them; see `measure`. Shapes: [B, ...]."""
    record = model.accepted.record
    for part in values:
        part = part.clamp(*model.value_range)
        for start, end, kind in record.preparation.spans() if record else ():
            own = part[:, start:end]
            sharp = own.round().clamp(0, 1) if kind == "boolean" else F.one_hot(own.argmax(1), end - start)
            part[:, start:end] = sharp
        yield part
