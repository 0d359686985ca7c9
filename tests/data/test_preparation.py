"""Features of a table: those of scikit-learn's ColumnTransformer; and the way back to the cells."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from pyarrow import parquet
from sklearn.compose import ColumnTransformer
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
)

from isthmus.common.errors import BadInput
from isthmus.data.table import Table

ROWS, TRAIN = 400, 250
SCALERS = {
    "standardize": StandardScaler,
    "minmax": lambda: MinMaxScaler(clip=True),
    "robust": RobustScaler,
    "quantile": lambda: QuantileTransformer(n_quantiles=TRAIN, output_distribution="normal", subsample=None),
    "none": FunctionTransformer,
}


@pytest.fixture
def frame() -> dict[str, Any]:
    draw = np.random.default_rng(0)
    income = draw.lognormal(3, 1, ROWS)
    income[draw.random(ROWS) < 0.2] = np.nan
    town = draw.choice(["Rom", "Köln", "Oslo", "Wien"], ROWS).astype(object)
    town[TRAIN + 5] = "Bern"  # not among the training rows
    return {
        "height": draw.normal(170, 9, ROWS),
        "income": income,
        "town": town,
        "member": draw.random(ROWS) < 0.5,
        "stamp": 1.7e12 + np.arange(ROWS) * 7.0 + draw.integers(0, 5, ROWS),
    }


def table(folder: Path, frame: dict[str, Any], **keys: Any) -> Table:
    path = folder / "t.parquet"
    parquet.write_table(
        pa.table({name: pa.array(column, from_pandas=True) for name, column in frame.items()}), path
    )
    return Table(
        path=str(path), **{"csv": {}, "categorical": "onehot", "missing": "mean", "prune": True, **keys}
    )


def scaled(made: Table, rows: int = TRAIN) -> np.ndarray:
    scaling = made.scaling(torch.arange(rows))
    return scaling(made.take(torch.arange(ROWS))).numpy()


@pytest.mark.parametrize("scaling", SCALERS)
@pytest.mark.parametrize("missing", ["mean", "median"])
def test_features_are_scikit_learns(
    tmp_path: Path, frame: dict[str, Any], scaling: str, missing: str
) -> None:
    numbers = np.stack([frame["height"], frame["income"]], axis=1)
    text, members = frame["town"][:, None], frame["member"][:, None].astype(float)
    transformer = ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(strategy=missing), SCALERS[scaling]()), [0, 1]),
            ("town", OneHotEncoder(handle_unknown="ignore", sparse_output=False), [2]),
            ("member", "passthrough", [3]),
        ]
    )
    every = np.hstack([numbers.astype(object), text, members.astype(object)])
    expected = transformer.fit(every[:TRAIN]).transform(every).astype(float)
    del frame["stamp"]
    made = table(tmp_path, frame, scaling=scaling, missing=missing)
    np.testing.assert_allclose(
        scaled(made), expected, atol=5e-3 if scaling == "quantile" else 2e-5, rtol=2e-5
    )
    assert made.preparation.features[2:6] == ["town=Köln", "town=Oslo", "town=Rom", "town=Wien"]


def test_indicators_are_scikit_learns(tmp_path: Path, frame: dict[str, Any]) -> None:
    made = table(tmp_path, frame, missing="indicator", drop=["town", "member", "stamp"])
    expected = MissingIndicator().fit_transform(frame["income"][:, None])[:, 0]
    assert made.scaling(torch.arange(TRAIN)) is not None
    assert made.preparation.features == ["height", "income", "income missing"]
    np.testing.assert_array_equal(made.take(torch.arange(ROWS))[:, 2], expected)


def test_ordinal_categories_are_scikit_learns(tmp_path: Path, frame: dict[str, Any]) -> None:
    made = table(tmp_path, frame, categorical="ordinal", columns=["town"], scaling="none")
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    expected = encoder.fit(frame["town"][:TRAIN, None]).transform(frame["town"][:, None])
    _, counts = np.unique(frame["town"][:TRAIN], return_counts=True)
    expected[expected < 0] = counts.argmax()
    np.testing.assert_array_equal(scaled(made), expected)


def test_ordinal_categories_lie_in_the_range_that_is_said(tmp_path: Path, frame: dict[str, Any]) -> None:
    made = table(tmp_path, frame, categorical="ordinal", columns=["town"], scaling="minmax")
    x = scaled(made)
    assert (x.min(), x.max()) == made.value_range == (0, 1)


@pytest.mark.parametrize("scaling", SCALERS)
@pytest.mark.parametrize("categorical", ["onehot", "ordinal"])
def test_there_and_back_gives_the_cells(
    tmp_path: Path, frame: dict[str, Any], scaling: str, categorical: str
) -> None:
    frame["town"][TRAIN + 5] = "Rom"
    frame["income"] = np.nan_to_num(frame["income"], nan=3.25)
    made = table(tmp_path, frame, scaling=scaling, categorical=categorical)
    x = scaled(made, ROWS)
    shift, scale = made.preparation.affine()
    back = made.preparation.decode(x / scale + shift)
    assert back["town"].tolist() == frame["town"].tolist()
    assert back["member"].tolist() == frame["member"].tolist()
    np.testing.assert_allclose(back["height"], frame["height"], rtol=1e-5)
    np.testing.assert_allclose(back["income"], frame["income"], rtol=2e-2 if scaling == "quantile" else 1e-4)
    np.testing.assert_allclose(
        back["stamp"] - 1.7e12, frame["stamp"] - 1.7e12, atol=20 if scaling == "quantile" else 0.5
    )


@pytest.mark.parametrize("clip", [3.0, 50.0])
def test_clipped_at_robust_deviations(tmp_path: Path, clip: float) -> None:
    values = np.append(np.random.default_rng(0).normal(0, 1, ROWS - 2), [1e6, -1e6])
    made = table(tmp_path, {"x": values}, clip=clip, scaling="none")
    made.scaling(torch.arange(ROWS))
    middle = np.median(values)
    deviation = 1.4826 * np.median(np.abs(values - middle))
    expected = np.clip(values, middle - clip * deviation, middle + clip * deviation)
    np.testing.assert_allclose(made.take(torch.arange(ROWS))[:, 0], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("scaling", SCALERS)
@pytest.mark.parametrize("missing", ["mean", "indicator"])
def test_new_rows_are_prepared_by_the_record(
    tmp_path: Path, frame: dict[str, Any], scaling: str, missing: str
) -> None:
    made = table(tmp_path, frame, scaling=scaling, missing=missing)
    x = scaled(made)
    record = json.loads(json.dumps(made.describe()["prepared"]))
    some = np.array([TRAIN + 5, 3, 77])
    names = ["stamp", "town", "member", "income", "height"]  # in another order
    new = {name: frame[name][some] for name in names} | {"more": np.arange(3)}
    (tmp_path / "new").mkdir()
    again = table(tmp_path / "new", new, scaling=scaling, missing=missing, prepared=record)
    scaling_again = again.scaling(torch.arange(0))
    np.testing.assert_array_equal(scaling_again(again.take(torch.arange(3))), x[some])
    assert again.cells.unseen == {"town": 1}


def test_text_that_was_not_in_training_can_be_refused(tmp_path: Path, frame: dict[str, Any]) -> None:
    made = table(tmp_path, frame)
    scaled(made)
    with pytest.raises(BadInput, match="1 cell of 'town' has text that was not in training"):
        table(tmp_path, frame, unseen="refuse", prepared=made.describe()["prepared"])


FORGED = [
    {"columns": [], "marks": 3},
    {"columns": [], "marks": {"decimal": "x", "thousands": ""}},
    [],
]


@pytest.mark.parametrize("forged", FORGED)
def test_another_forged_record_is_refused(tmp_path: Path, frame: dict[str, Any], forged: Any) -> None:
    with pytest.raises(BadInput, match="record of its columns is damaged"):
        table(tmp_path, frame, prepared=forged)


@pytest.mark.parametrize(
    "forged",
    [
        3,
        [3],
        [{}],
        [{"name": "x"}],
        [{"name": 3, "kind": "number"}],
        [{"name": "x", "kind": "code"}],
        [{"name": "x", "kind": "number", "run": "x"}],
        [{"name": "x", "kind": "number", "scale": "1"}],
        [{"name": "x", "kind": "number", "scale": float("nan")}],
        [{"name": "x", "kind": "number", "fill": 1e300}],
        [{"name": "x", "kind": "number", "fill": 10**400}],
        [{"name": "x", "kind": "number", "quantiles": 3}],
        [{"name": "x", "kind": "category", "categories": [1]}],
    ],
)
def test_a_forged_record_is_refused(tmp_path: Path, frame: dict[str, Any], forged: Any) -> None:
    with pytest.raises(BadInput, match="record of its columns is damaged"):
        table(tmp_path, frame, prepared={"columns": forged})


@pytest.mark.parametrize(
    "values",
    [
        1e7 + 0.01 * np.arange(ROWS),
        48.137 + 1e-6 * np.arange(ROWS),
        1.7e9 + np.arange(ROWS)[::-1],
        np.arange(ROWS) * 0.5,
    ],
    ids=["steps of 0.01", "steps of 1e-6", "seconds", "usual"],
)
def test_values_that_float32_would_not_tell_apart(tmp_path: Path, values: np.ndarray) -> None:
    made = table(tmp_path, {"x": values}, scaling="none")
    made.scaling(torch.arange(ROWS))
    back = made.preparation.decode(made.take(torch.arange(ROWS)).numpy())["x"]
    np.testing.assert_allclose(back, values, rtol=0, atol=1e-3 * abs(values[1] - values[0]))


def test_new_data_with_missing_cells_are_filled_as_in_training(tmp_path: Path, frame: dict[str, Any]) -> None:
    made = table(tmp_path, {"height": frame["height"]}, missing="refuse")
    scaled(made)
    (tmp_path / "new").mkdir()
    new = {"height": np.array([170.0, np.nan])}
    record = made.describe()["prepared"]
    with pytest.raises(BadInput, match=r"data\.missing=mean fills them in as in training"):
        table(tmp_path / "new", new, missing="refuse", prepared=record)
    again = table(tmp_path / "new", new, missing="mean", prepared=record)
    assert again.scaling(torch.arange(0))(again.take(torch.arange(2)))[1].item() == pytest.approx(0, abs=1e-5)


def test_a_table_in_a_file_has_the_features_of_one_in_memory(
    tmp_path: Path, frame: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    kept = table(tmp_path, frame, missing="indicator")
    mapped = table(tmp_path, frame, missing="indicator", in_memory=False)
    np.testing.assert_array_equal(scaled(mapped), scaled(kept))
    assert mapped.values is None
    assert not list((tmp_path / "cache").rglob("*.npy"))


@pytest.mark.parametrize("categorical", ["onehot", "ordinal"])
def test_missing_text_has_features_too(tmp_path: Path, frame: dict[str, Any], categorical: str) -> None:
    frame["town"][::5] = None
    made = table(tmp_path, frame, categorical=categorical, missing="indicator", columns=["town", "height"])
    x = scaled(made)
    assert np.isfinite(x).all()
    assert made.preparation.features[-2] == "town missing"
    np.testing.assert_array_equal(x[:, -2], [town is None for town in frame["town"]])


def test_text_in_no_training_row_is_counted(tmp_path: Path, frame: dict[str, Any]) -> None:
    made = table(tmp_path, frame)
    scaled(made)
    said = dict(made.remarks(torch.arange(TRAIN)))
    assert said["unseen"] == "text that is in no training row: 1 of 400 cells of 'town'"
    with pytest.raises(BadInput, match="1 cell of 'town' has text"):
        scaled(table(tmp_path, frame, unseen="refuse"))
