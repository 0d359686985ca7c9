"""Exported graphs: every architecture with every latent, every loss, and every preparation of columns."""

from __future__ import annotations

import math
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import ndtri
from sklearn.preprocessing import QuantileTransformer

from isthmus.core.detection.observed import observe
from isthmus.core.scaling import Scaling
from isthmus.data.tables.record import Record
from isthmus.runs.config.compose import compose
from isthmus.runs.config.data import build_data, plain
from isthmus.runs.config.model import make_autoencoder
from isthmus.runs.packed.calibration import fit_detector
from isthmus.runs.packed.fitting import fit_mixture
from isthmus.tasks.exporting import onnx_format
from isthmus.tasks.exporting.export import preprocessing_of
from isthmus.tasks.exporting.graphs import Graph, Scorer, graphs_of
from isthmus.tasks.exporting.preprocessing import Field
from isthmus.tasks.exporting.quantiles import from_normal, normal_quantile, to_normal
from isthmus.tasks.inputs.examples import Accepted
from isthmus.tasks.inputs.files import file_examples

from .conftest import write_visits

SHAPE = (1, 9, 7)


def choices(group):
    folder = Path(__file__).parents[2] / "conf" / group
    return sorted(path.stem for path in folder.glob("*.yaml") if not path.stem.startswith("_"))


PAIRS = list(product(choices("architecture"), choices("latent")))
LOSSES = choices("loss")  # dealt out to the pairs in turn
CASES = [(*PAIRS[at % len(PAIRS)], LOSSES[at % len(LOSSES)]) for at in range(max(len(PAIRS), len(LOSSES)))]
# every other one in `make test`, as each takes seconds
CASES = [pytest.param(*case, marks=[pytest.mark.slow] * (at % 2)) for at, case in enumerate(CASES)]


@pytest.mark.parametrize(("architecture", "latent", "loss"), CASES)
def test_onnx_runtime_computes_what_pytorch_does(architecture, latent, loss, tmp_path):
    """Codes, reconstructions and scores within 1e-4, of 1 row and of 7, normal rows and others."""
    torch.manual_seed(0)
    cfg = compose([f"architecture={architecture}", f"latent={latent}", f"loss={loss}", "latent.dim=3"])
    autoencoder = make_autoencoder(plain(cfg), SHAPE, (0.0, 1.0)).eval()
    normal = torch.rand(200, *SHAPE)
    with torch.no_grad():
        trained, held_out = (observe(autoencoder, rows, losses=True) for rows in (normal[:150], normal[150:]))
    densities = (fit_mixture(trained.codes), fit_mixture(trained.codes, components=1))
    detector, _ = fit_detector(trained, held_out, *densities, SHAPE)
    preprocessing = preprocessing_of(Accepted(SHAPE, (0.0, 1.0), Scaling.unit(1 / 255), None, {}))
    graph = graphs_of(autoencoder, preprocessing, Scorer(detector, "combined", 0.5))["model"]
    onnx_format.write(tmp_path / "model.onnx", graph, "{}")
    for x in (normal[:1], normal[:7], torch.ones(7, *SHAPE), torch.rand(7, *SHAPE).round()):
        found = onnx_format.run(tmp_path / "model.onnx", graph, {"x": x.numpy()})
        with torch.no_grad():
            wanted = dict(zip(found, graph(x), strict=True))
            score = detector(observe(autoencoder, x), "combined")
        torch.testing.assert_close(wanted["score"], score)
        for name in ("code", "reconstruction", "score"):
            np.testing.assert_allclose(found[name], wanted[name].numpy(), rtol=1e-4, atol=1e-4)
        np.testing.assert_array_equal(found["outlier"], found["score"] > 0.5)


class Features(Graph):
    """The preprocessing alone."""

    def __init__(self, preprocessing, width):
        super().__init__()
        self.preprocessing, self.inputs = preprocessing, preprocessing.inputs
        self.outputs = [Field("features", "float32", (width,), ""), Field("valid", "bool", (), "")]

    def forward(self, *inputs):
        return self.preprocessing(*inputs)


PREPARATIONS = {
    "indicator": ["data.missing=indicator"],
    "median, ordinal": ["data.missing=median", "data.categorical=ordinal"],
    "ordinal, indicator": ["data.missing=indicator", "data.categorical=ordinal"],
    "quantile": ["data.missing=mean", "data.scaling=quantile"],
    "robust, clipped": ["data.missing=mean", "data.scaling=robust", "data.clip=3"],
    "minmax": ["data.missing=mean", "data.scaling=minmax"],
    "none": ["data.missing=drop", "data.scaling=none"],
}


# those of which each part is in another one
PARTLY = ("ordinal, indicator", "minmax", "none")


@pytest.mark.parametrize(
    "name", [pytest.param(each, marks=[pytest.mark.slow] * (each in PARTLY)) for each in PREPARATIONS]
)
def test_cells_become_the_features_that_isthmus_makes_of_them(name, tmp_path, cache):
    """Missing cells, text that was not in training, and numbers beyond those of training."""
    file = tmp_path / "visits.csv"
    header, *lines = write_visits(file).read_text().splitlines()
    rows = [line.split(",") for line in lines]
    for at in range(0, len(rows), 9):
        rows[at][1 + at % 4] = ""
    file.write_text("\n".join([header, *map(",".join, rows)]))
    table = ["data=table", f"data.path={file}", "data.label=group", "data.id=patient", "data.dates=number"]
    cfg = compose([*table, *PREPARATIONS[name]])
    data = build_data(cfg)
    source = data.source
    record = Record.of(source.describe()["prepared"])
    keys = {key: value for key, value in plain(cfg)["data"].items() if key != "path"}
    accepted = Accepted(source.shape, source.value_range, data.scaling, record, keys)

    rows[1][1], rows[2][3], rows[3][3], rows[4][2] = "z", "0", "2000000", "1999-01-01"
    new = tmp_path / "new.csv"
    new.write_text("\n".join([header, *map(",".join, rows)]))
    graph = Features(preprocessing_of(accepted), source.shape[0])
    onnx_format.write(tmp_path / "features.onnx", graph, "{}")
    frame = pd.read_csv(new, parse_dates=["day"])
    days = (frame["day"] - pd.Timestamp(0)) / pd.Timedelta(days=1)
    smoker = frame["smoker"].map({True: 1.0, False: 0.0})
    numbers = np.stack([days, frame["size"], smoker], axis=1).astype(np.float64)
    inputs = {"numbers": numbers, "text": frame[["site"]].fillna("").to_numpy(str)}
    found = onnx_format.run(tmp_path / "features.onnx", graph, inputs)
    examples = file_examples(str(new), accepted)
    wanted = examples.take(0, len(rows)).numpy()
    absent = np.zeros(len(rows), bool) if examples.incomplete is None else examples.incomplete.numpy()
    np.testing.assert_array_equal(found["valid"], ~absent)
    np.testing.assert_allclose(found["features"][~absent], wanted[~absent], rtol=1e-6, atol=1e-6)


def test_quantiles_are_those_of_scipy_and_scikit_learn():
    p = torch.cat([torch.logspace(-9, -1, 999), torch.linspace(0.01, 0.99, 999)]).double()
    np.testing.assert_allclose(normal_quantile(p).numpy(), ndtri(p.numpy()), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(normal_quantile(1 - p).numpy(), ndtri(1 - p.numpy()), rtol=1e-12, atol=1e-12)
    draw = np.random.default_rng(0)
    values = np.round(draw.normal(5, 2, 240), 1)  # many are equal
    theirs = QuantileTransformer(n_quantiles=100, output_distribution="normal").fit(values[:, None])
    quantiles = torch.from_numpy(theirs.quantiles_[:, 0])
    x = np.concatenate([values, draw.normal(5, 4, 300), [-1e9, 1e9, values.min(), values.max()]])
    mine = to_normal(torch.from_numpy(x), quantiles)
    np.testing.assert_allclose(mine.numpy(), theirs.transform(x[:, None])[:, 0], rtol=1e-9, atol=1e-9)
    y = draw.normal(0, 2, 300).astype(np.float32)
    back = theirs.inverse_transform(y[:, None].astype(np.float64))[:, 0]
    np.testing.assert_allclose(from_normal(torch.from_numpy(y), quantiles).numpy(), back, atol=1e-4)
    one = torch.tensor([3.0]).double()
    assert not math.isnan(float(to_normal(one, one)))
