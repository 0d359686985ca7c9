"""Messy tables given to a trained model: what comes back, and what Python and the commands say about them."""

from __future__ import annotations

import csv
import warnings

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import isthmus
from isthmus.common.errors import BadInput
from isthmus.runs.config.compose import compose
from isthmus.runs.train import train

from .conftest import SHORT

COLUMNS = ["age", "bmi", "smoker", "insured", "sex"]


def patients(rows, seed):
    """Numbers, true/false, the same as 0 and 1, text, and columns that are no features."""
    draw = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "patient": [f"p{row}" for row in range(rows)],
            "age": draw.integers(20, 90, rows),
            "bmi": draw.normal(25, 3, rows).round(2),
            "smoker": draw.random(rows) < 0.4,
            "insured": draw.integers(0, 2, rows),
            "sex": draw.choice(["f", "m"], rows),
            "visit": [f"{1 + row % 28:02}.03.2024" for row in range(rows)],
            "diagnosis": draw.choice(["ill", "well"], rows),
        }
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    place = tmp_path_factory.mktemp("messy")
    patients(200, 0).to_csv(place / "train.csv", sep=";", decimal=",", index=False)
    keys = ["data=table", f"data.path={place / 'train.csv'}", "data.id=patient", "data.label=diagnosis"]
    return train(compose([*SHORT, *keys, "latent.dim=2"]), place / "run").path


@pytest.fixture
def model(run, cache):
    return isthmus.load(run, device="cpu")


@pytest.fixture
def new():
    return patients(20, 1).set_index(pd.Index(range(100, 120)))


def test_a_row_without_a_score_is_neither_an_outlier_nor_normal(model, new):
    assert model.detect(new, false_alarm_rate=0.2).outlier.dtype == bool
    holes = new.copy()
    holes.loc[103, "bmi"] = np.nan
    with pytest.warns(UserWarning, match=r"1 in 'bmi'; 1 row has no result"):
        found = model.detect(holes, false_alarm_rate=0.2)
    assert found.outlier[3] is None
    assert found.scored.nonzero()[0].tolist() == [at for at in range(20) if at != 3]
    whole = model.detect(new, false_alarm_rate=0.2)
    assert found.outlier[found.scored].tolist() == whole.outlier[found.scored].tolist()
    with pytest.raises(ValueError, match="NA"):
        holes[found.outlier]
    with pytest.raises(TypeError):
        np.invert(found.outlier)
    assert "of 19 examples are outliers" in found._repr_html_()


def test_shares_come_with_the_names_of_their_columns(model, new):
    shares = model.explain(new)
    assert list(shares.columns) == model.columns == COLUMNS
    assert list(shares.index) == list(new.index)
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-5)
    table = model.explain(pa.Table.from_pandas(new))
    assert isinstance(table, pa.Table)
    np.testing.assert_allclose(table.to_pandas()[COLUMNS], shares, atol=1e-6)
    array = model.explain(new[COLUMNS].to_numpy())
    np.testing.assert_allclose(array, shares, atol=1e-6)


def test_rows_come_back_as_a_frame_where_asked_or_given(model, new):
    frame = model.generate(5, as_frame=True)
    pd.testing.assert_frame_equal(frame, model.generate(5).to_pandas())
    assert list(frame.columns) == COLUMNS
    assert isinstance(model.decode(model.encode(new), as_frame=True), pd.DataFrame)
    assert isinstance(model.decode(model.encode(new)), pa.Table)
    assert len(model.interpolate(new[:2], new[2:4], steps=3)) == 6
    for made in (
        model.interpolate(new[:2], new[2:4], steps=3),
        model.traverse(new[:1]),
        model.traverse(as_frame=True),
    ):
        assert isinstance(made, pd.DataFrame)
    assert isinstance(model.traverse(), pa.Table)


def test_arrays_are_no_frame(model_of):
    with pytest.raises(BadInput, match="as_frame=true: the model was not trained on a table"):
        model_of("digits").generate(2, as_frame=True)


def test_truth_values_come_back_as_they_went_in(model, new):
    for made in (model.reconstruct(new), model.generate(40, as_frame=True)):
        assert made["smoker"].dtype == bool
        assert made["insured"].dtype == np.int64
        assert set(made["insured"]) <= {0, 1}
        assert made["age"].dtype == float
    assert set(model.reconstruct(new[COLUMNS].to_numpy())[:, 3]) <= {0, 1}


def test_unknown_columns_are_named_once(model, new):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.encode(new)  # with the id, the label, and a column that training left out
    given = new.assign(colour="red", shade=1)
    with pytest.warns(UserWarning, match="the training data did not have: colour, shade"):
        model.encode(given)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.score(given)
    with pytest.raises(BadInput, match=r"columns=bmi: .* the nearest is 'bm1'"):
        model.encode(new.rename(columns={"bmi": "bm1"}))


@pytest.mark.parametrize("task", ["detect", "embed", "denoise", "generate", "export"])
def test_refused_data_leave_no_folder(task, here, run, tmp_path):
    before = sorted(path.name for path in run.iterdir())
    there = run.parent / "train.csv"
    there.rename(tmp_path / "away.csv")
    try:
        wrong = {"generate": ("-n", 0), "export": ("--false-alarm-rate", 1e-9)}.get(task, ())
        code, _, err = here(task, run, *wrong)
    finally:
        (tmp_path / "away.csv").rename(there)
    assert (code, err.count("\n")) == (2, 1), err
    assert sorted(path.name for path in run.iterdir()) == before
    if task == "detect":
        assert here(task, run, "--false-alarm-rate", 1e-9)[0] == 2
        assert here(task, run, "--normal", "nobody")[0] == 2
        assert sorted(path.name for path in run.iterdir()) == before


def test_commands_say_in_one_line_each_what_they_ignore_and_what_is_missing(here, run, new, tmp_path):
    holes = new.assign(colour="red")
    holes.loc[[103, 105], "bmi"] = np.nan
    holes.to_csv(tmp_path / "new.csv", index=False)
    expected = [
        "ignored    columns that the training data did not have: colour",
        "missing    2 in 'bmi'; 2 rows have no result; data.missing=mean fills them in as in training",
    ]
    for command in (
        ("evaluate", run, "new.csv", "data.missing=drop"),
        ("detect", run, "new.csv", "-o", "scores.csv", "--false-alarm-rate", 0.2),
        ("denoise", run, "new.csv", "clean.csv"),
        ("embed", run, "new.csv", "--map", "pca", "-o", "codes"),
    ):
        code, out, err = here(*command)
        assert code == 0, err
        assert out.splitlines()[:2] == expected, command
        assert out.count("missing") == 2, command
    rows = list(csv.DictReader((tmp_path / "scores.csv").open()))
    assert [at for at, row in enumerate(rows) if row["outlier"] == ""] == [3, 5]
    code, out, _ = here("detect", run, "--false-alarm-rate", 0.2)
    assert code == 0
    assert "read as" not in out
