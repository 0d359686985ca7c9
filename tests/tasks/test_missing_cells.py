"""Rows of new tables with missing cells: without a result, in their place; or filled in as asked."""

from __future__ import annotations

import csv

import numpy as np
import pandas as pd
import pytest

import isthmus
from isthmus.common.errors import BadInput
from isthmus.runs.config.compose import compose
from isthmus.runs.train import train
from isthmus.tasks.embedding.encoded import encode
from isthmus.tasks.embedding.rows import rows_of
from isthmus.tasks.embedding.table import write_codes

from .conftest import SHORT, VISITS, write_visits

HOLES = {3: "size", 7: "site", 18: "day", 19: "smoker"}
WHOLE = [row for row in range(20) if row not in HOLES]


@pytest.fixture
def holes(tmp_path):
    """Twenty visits, four of which lack a cell, as a file; and the whole ones."""
    frame = pd.read_csv(write_visits(tmp_path / "new.csv", rows=20, seed=5), dtype=str)
    whole = frame.copy()
    for row, column in HOLES.items():
        frame.loc[row, column] = None
    frame.to_csv(tmp_path / "holes.csv", index=False)
    return tmp_path / "holes.csv", whole


def written(path):
    return list(csv.DictReader(path.open()))


@pytest.fixture
def model(model_of):
    return model_of("visits")


def test_a_row_with_a_missing_cell_has_no_result_and_the_others_are_unchanged(model, holes):
    file, whole = holes
    frame = pd.read_csv(file)
    for name in ("encode", "score", "explain", "reconstruct", "denoise"):
        with pytest.warns(UserWarning, match=r"1 in 'size'.*; 4 rows have no result"):
            found = getattr(model, name)(frame)
        expected = getattr(model, name)(whole)
        if isinstance(found, pd.DataFrame):
            assert found.loc[list(HOLES)].isna().all(axis=None)
            pd.testing.assert_frame_equal(found.loc[WHOLE], expected.loc[WHOLE], check_dtype=False)
        else:
            assert np.isnan(found[list(HOLES)]).all()
            np.testing.assert_allclose(found[WHOLE], expected[WHOLE], atol=1e-6)
    with pytest.warns(UserWarning, match="missing cells"):
        found = model.detect(frame, false_alarm_rate=0.2)
    assert np.isnan(found.p_value).sum() == len(HOLES)
    assert found.outlier[list(HOLES)].tolist() == [None] * 4
    assert "4 have missing cells and no score" in found._repr_html_()
    with (
        pytest.warns(UserWarning, match="missing cells"),
        pytest.raises(BadInput, match="start=row 3: has a missing cell"),
    ):
        model.interpolate(frame, frame)


def test_commands_list_such_rows_in_their_place(here, run_of, holes, tmp_path):
    file, whole = holes
    given = run_of("visits"), file
    code, out, err = here("detect", *given, "-o", "scores.csv", "--false-alarm-rate", 0.2)
    assert code == 0, err
    assert "of 16 rows are anomalies" in out
    assert "; 4 rows have no result" in out
    code, out, err = here("denoise", *given, "denoised.csv")
    assert code == 0, err
    code, out, err = here("embed", *given, "--table", "csv", "-o", "codes", "--map", "pca")
    assert code == 0, err
    assert "16 codes" in out
    files = {"scores.csv": "score", "denoised.csv": "size", "codes/codes.csv": "z_0"}
    for name, column in files.items():
        rows = written(tmp_path / name)
        assert [at for at, row in enumerate(rows) if row[column] == ""] == list(HOLES), name
        assert [row["name" if "name" in row else "patient"] for row in rows] == list(whole["patient"])


def test_codes_alone_have_a_row_for_each_row_of_the_data(model, holes, tmp_path):
    rows = rows_of(model, str(holes[0]))
    complete = rows._replace(examples=rows.examples.complete())
    write_codes(tmp_path / "codes.npy", rows, encode(model, complete, np.arange(0)), None)
    codes = np.load(tmp_path / "codes.npy")
    assert np.isnan(codes).all(1).nonzero()[0].tolist() == list(HOLES)
    np.testing.assert_allclose(codes[WHOLE], model.encode(holes[1])[WHOLE], atol=1e-6)


def test_missing_cells_are_filled_in_or_refused_as_asked(here, run_of, holes, tmp_path):
    given = run_of("visits"), holes[0], "-o", "scores.csv", "--false-alarm-rate", 0.2
    code, out, err = here("detect", *given, "data.missing=mean")
    assert code == 0, err
    assert "filled in as in training" in out
    assert all(row["score"] for row in written(tmp_path / "scores.csv"))
    code, _, err = here("detect", *given, "data.missing=refuse", "--overwrite")
    assert (code, err.count("\n")) == (2, 1)
    assert "4 cells are missing" in err


def test_a_file_without_a_complete_row_is_refused(model, holes):
    frame = pd.read_csv(holes[0])
    frame["size"] = np.nan
    with pytest.raises(BadInput, match=r"no row is complete: .*20 in 'size'"):
        model.score(frame)


@pytest.mark.parametrize("missing", ["drop", "indicator"])
def test_a_model_does_with_missing_cells_what_training_did(missing, holes, tmp_path, cache):
    table = tmp_path / "train.csv"
    lines = write_visits(table, rows=120).read_text().splitlines()
    lines[5] = lines[5].replace(lines[5].split(",")[3], "")
    table.write_text("\n".join(lines))
    train(compose([*SHORT, *VISITS, f"data.path={table}", f"data.missing={missing}"]), tmp_path / "run")
    model = isthmus.load(tmp_path / "run", device="cpu")
    missing_rows = np.isnan(model.score(model.open_file(str(holes[0])))).nonzero()[0].tolist()
    assert missing_rows == (list(HOLES) if missing == "drop" else [])
