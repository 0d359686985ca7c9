"""Exported files: they compute what isthmus computes, for every kind of data, and run without it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from functools import cache

import numpy as np
import onnxruntime
import pandas as pd
import pyarrow as pa
import pytest
import torch

import isthmus
from isthmus.cli import export as command
from isthmus.cli.main import main
from isthmus.common.errors import BadInput
from isthmus.core.detection.detector import SCORES
from isthmus.tasks.exporting import checking, onnx_format
from isthmus.tasks.exporting.export import WRITERS, preprocessing_of

from .conftest import KINDS, SHORT
from .test_trained_model import given

NAMES = {"model", "encoder", "decoder"}
# each export takes seconds
QUICK = ("digits", "photos", "visits")
ALL_KINDS = [kind if kind in QUICK else pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS]


@pytest.fixture(scope="session")
def exported_itself(run_of, tmp_path_factory):
    """The folder to which the model of the photos exported itself, and the files that it named."""
    folder = tmp_path_factory.mktemp("python") / "new"

    @cache
    def made():
        return folder, isthmus.load(run_of("photos"), device="cpu").export(folder)

    return made


@pytest.fixture(scope="session")
def exported(run_of, exported_itself, tmp_path_factory):
    """The folder of an export of one of `KINDS`, made once: by the command, of the photos from Python."""
    base = tmp_path_factory.mktemp("exported")

    def made(kind, *options, name=""):
        if kind == "photos":
            return exported_itself()[0]
        folder = base / (kind + name)
        if not folder.exists():
            assert main(["export", str(run_of(kind)), "-o", str(folder), *options]) == 0
        return folder

    return made


def inputs_of(kind, run, model, rows=40):
    """Rows as a person has them, and the same as inputs of a graph."""
    x = given(kind, run)[:rows]
    if kind == "photos":
        pixels = model.decode(model.encode(x)).astype(np.float32)
        return pixels, {"x": pixels}
    if kind == "digits":
        return x, {"x": (x[:, None] / 16).astype(np.float32)}
    if kind == "patches":
        return x, {"x": x[:, None]}
    if kind == "scaled":
        return x, {"x": x.astype(np.float32)}
    if kind == "cancer":
        return x, {"numbers": x.to_numpy()}
    days = pd.to_datetime(x["day"]).to_numpy().astype("datetime64[D]").astype(int)
    numbers = np.stack([days, x["size"], x["smoker"]], axis=1).astype(np.float64)
    return x, {"numbers": numbers, "text": x[["site"]].to_numpy(str)}


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_files_compute_what_isthmus_computes(kind, run_of, model_of, exported):
    folder, model = exported(kind), model_of(kind)
    assert {path.name for path in folder.iterdir()} == {
        *(f"{name}.onnx" for name in NAMES),
        "model.json",
        "example.npz",
        "README.txt",
    }
    x, inputs = inputs_of(kind, run_of(kind), model)
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    names = [each.name for each in session.get_outputs()]
    for rows in (slice(1), slice(7), slice(None)):
        found = dict(
            zip(names, session.run(None, {name: each[rows] for name, each in inputs.items()}), strict=True)
        )
        detected = model.detect(x[rows])
        np.testing.assert_allclose(found["code"], model.encode(x[rows]), rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(found["score"], detected.score, rtol=1e-4, atol=1e-4)
        np.testing.assert_array_equal(found["outlier"], detected.outlier)
    back = model.reconstruct(x)
    if model.columns is None:
        scale = {"digits": 16, "scaled": 1, "patches": 1, "photos": 1}[kind]
        rounding = 0.51 if kind == "digits" else 1e-4  # whole numbers come back as whole numbers
        wanted = np.asarray(back).reshape(found["reconstruction"].shape)
        np.testing.assert_allclose(np.clip(found["reconstruction"] * scale, 0, None), wanted, atol=rounding)
        return
    for name in ("numbers", "text"):
        for at, column in enumerate(json.loads((folder / "model.json").read_text())["columns"].get(name, [])):
            cells = back[column["name"]]
            if column["name"] == "day":
                cells = cells.astype("datetime64[ms]").astype(np.int64) / 86_400_000
            mine = found[f"reconstructed_{name}"][:, at]
            if name == "text":
                assert mine.tolist() == cells.tolist()
            else:
                np.testing.assert_allclose(mine, cells.astype(float), rtol=0, atol=1e-4 * (cells.std() + 1))


@pytest.mark.parametrize("kind", ["photos", "visits"])
def test_encoder_and_decoder_are_the_parts_of_the_model(kind, run_of, model_of, exported):
    folder = exported(kind)
    _, inputs = inputs_of(kind, run_of(kind), model_of(kind))
    whole, encoder, decoder = (
        onnxruntime.InferenceSession(folder / f"{name}.onnx") for name in ("model", "encoder", "decoder")
    )
    code, *rows = whole.run(None, inputs)[: 1 + len(decoder.get_outputs())]
    np.testing.assert_allclose(encoder.run(None, inputs)[0], code, rtol=1e-5, atol=1e-5)
    for found, wanted in zip(decoder.run(None, {"code": code}), rows, strict=True):
        if wanted.dtype == object:
            assert found.tolist() == wanted.tolist()
        else:
            np.testing.assert_allclose(
                found, wanted, rtol=1e-9 if found.dtype == np.float64 else 1e-4, atol=1e-4
            )


def assert_shown(printed, folder):
    """The first lines are the results for the rows of the example in the folder of an ONNX export."""
    rows = dict(np.load(folder / "example.npz", allow_pickle=False))
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    code, score, outlier = session.run(["code", "score", "outlier"], rows)
    assert len(code) == 5
    assert np.isfinite(score).all()
    for row, line in enumerate(printed.splitlines()[:5]):
        said = re.fullmatch(r"row (\d): score (\S+), (outlier|normal), code starts \[(.*)\]", line)
        assert int(said[1]) == row
        assert float(said[2]) == pytest.approx(score[row], rel=1e-3)
        assert (said[3] == "outlier") == outlier[row]
        np.testing.assert_allclose(
            np.array(said[4].split(), float), code[row].ravel()[:4], rtol=1e-3, atol=1e-4
        )


def test_the_example_is_made_by_the_model(run_of, model_of, exported):
    """No row of the data leaves with an export."""
    folder = exported("digits")
    x, data = np.load(folder / "example.npz")["x"], given("digits", run_of("digits"))[:, None] / 16
    assert x.shape == (5, *data.shape[1:])
    assert np.abs(x[:, None] - data[None]).max((2, 3, 4)).min() > 0.05
    assert x.std(0).max() > 0.05  # they differ
    scores = model_of("digits").score(x[:, 0])
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    np.testing.assert_allclose(session.run(["score"], {"x": x})[0], scores, rtol=1e-4, atol=1e-4)
    assert "not rows of the data" in (folder / "README.txt").read_text()


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_the_script_in_the_readme_runs_without_isthmus_and_torch(kind, run_of, model_of, exported, tmp_path):
    folder = exported(kind)
    x, inputs = inputs_of(kind, run_of(kind), model_of(kind))
    np.savez(tmp_path / "rows.npz", **inputs)
    text = (folder / "README.txt").read_text()
    script = text[text.index("import numpy") :]
    assert len(script.splitlines()) == 7
    own = re.sub("rows = .*", f"rows = dict(np.load({str(tmp_path / 'rows.npz')!r}))", script)
    code = f"""
import sys
for name in ("isthmus", "torch", "onnx", "pandas", "pyarrow", "sklearn"):
    sys.modules[name] = None
{script}
{own}
np.save({str(tmp_path / "scores.npy")!r}, score)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=folder, check=False
    )
    assert done.returncode == 0, done.stderr
    assert_shown(done.stdout, folder)
    found, wanted = np.load(tmp_path / "scores.npy"), model_of(kind).score(x)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", ["digits", pytest.param("visits", marks=pytest.mark.slow)])
def test_files_of_torch_export_compute_the_same(kind, run_of, model_of, exported):
    folder = exported(kind, "--format", "torch", name="-torch")
    model = model_of(kind)
    x, inputs = inputs_of(kind, run_of(kind), model)
    if "text" in inputs:
        inputs["text"] = preprocessing_of(model._engine.accepted).codes(inputs["text"].astype(object))
    module = torch.export.load(folder / "model.pt2").module()
    for rows in (slice(1), slice(None)):
        _, *_, score, outlier = module(*(torch.from_numpy(each[rows]) for each in inputs.values()))
        np.testing.assert_allclose(score, model.score(x[rows]), rtol=1e-4, atol=1e-4)
        np.testing.assert_array_equal(outlier, model.detect(x[rows]).outlier)
    script = (folder / "README.txt").read_text().partition("import numpy")
    code = f"import os; os.chdir({str(folder)!r})\nimport sys; sys.modules['isthmus'] = None\n" + "".join(
        script[1:]
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert_shown(done.stdout, exported(kind))  # the same rows and results as of the other format


SPOILED = {"nan": np.nan, "infinite": np.inf, "beyond float32": 1e39}


@pytest.mark.parametrize("value", SPOILED)
@pytest.mark.parametrize("kind", ["digits", pytest.param("scaled", marks=pytest.mark.slow), "visits"])
def test_rows_that_isthmus_refuses_are_nan_and_outliers(kind, value, run_of, model_of, exported):
    x, inputs = inputs_of(kind, run_of(kind), model_of(kind))
    name = "numbers" if kind == "visits" else "x"
    with np.errstate(over="ignore"):
        inputs[name].reshape(len(x), -1)[3, 0] = SPOILED[value]
    session = onnxruntime.InferenceSession(exported(kind) / "model.onnx")
    code, *_, score, outlier = session.run(None, inputs)
    assert np.flatnonzero(np.isnan(score)).tolist() == [3]
    assert outlier[3]
    assert np.isnan(code[3]).all()
    assert np.isfinite(np.delete(code, 3, 0)).all()


def test_pixels_as_bytes_are_refused_too(exported, run_of, model_of):
    """The usual mistake: pixels that were not divided."""
    _, inputs = inputs_of("digits", run_of("digits"), model_of("digits"))
    session = onnxruntime.InferenceSession(exported("digits") / "model.onnx")
    assert np.isnan(session.run(["score"], {"x": inputs["x"] * 16})[0]).all()


@pytest.mark.slow
def test_without_data_decoded_samples_are_checked(here, run_of, tmp_path):
    assert here("pack", run_of("cancer"), "packed.isthmus")[0] == 0
    code, out, err = here("export", "packed.isthmus")
    assert code == 0, err
    assert "256 decoded samples" in out
    assert (tmp_path / "onnx_export" / "model.onnx").is_file()
    run = shutil.copytree(run_of("visits"), tmp_path / "run")
    config = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(config.replace("visits.csv", "gone.csv"))
    assert "decoded samples" in here("export", "run")[1]
    assert {path.name for path in (run / "export").iterdir()} == {"onnx"}


def test_a_model_that_was_not_fitted_has_no_score(here, run_of, tmp_path):
    run = shutil.copytree(run_of("digits"), tmp_path / "run")
    (run / "model.isthmus").unlink()
    about = json.loads((run / "provenance.json").read_text())
    about["data"]["fingerprint"] = "0" * 64  # other data than those of training: it cannot be fitted again
    (run / "provenance.json").write_text(json.dumps(about))
    code, out, err = here("export", "run")
    assert code == 0, err
    assert "no score" in out
    names = [each.name for each in onnxruntime.InferenceSession("run/export/onnx/model.onnx").get_outputs()]
    assert names == ["code", "reconstruction"]
    assert here("export", "run", "--false-alarm-rate", 0.1)[0] == 2


@pytest.mark.slow
def test_the_threshold_is_that_of_the_rate(exported, model_of):
    folder = exported("patches", "--false-alarm-rate", "0.1", "--score", "mse", name="-mse")
    about = json.loads((folder / "model.json").read_text())
    limit, rate = model_of("patches").threshold(0.1, score="mse")
    assert (about["threshold"], about["false_alarm_rate"], about["score"]) == (limit, rate, "mse")
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    assert json.loads(session.get_modelmeta().custom_metadata_map["isthmus"])["threshold"] == limit


@pytest.mark.usefixtures("cache")
def test_a_model_exports_itself(exported_itself):
    folder, files = exported_itself()
    assert sorted(folder.iterdir()) == files


def test_a_file_that_differs_is_not_written(here, run_of, monkeypatch, tmp_path):
    real = onnx_format.run

    def wrong(path, graph, inputs):
        return {
            name: each + 0.01 if name == "code" else each for name, each in real(path, graph, inputs).items()
        }

    monkeypatch.setattr(onnx_format, "run", wrong)
    code, _, err = here("export", run_of("digits"), "-o", "deep/out")
    assert code == 2
    assert "gives another code than isthmus" in err
    assert len([line for line in err.splitlines() if line.startswith("isthmus: ")]) == 1
    assert not (tmp_path / "deep").exists()


def test_a_missing_package_is_one_line(here, run_of, monkeypatch, tmp_path):
    monkeypatch.setattr(onnx_format, "PACKAGES", ("onnx", "absent_package"))
    code, _, err = here("export", run_of("digits"), "-o", "out")
    assert code == 2
    assert 'absent_package: pip install "isthmus[export]"' in err
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_other_folders_are_not_touched(here, run_of, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    code, _, err = here("export", run_of("digits"), "-o", "full")
    assert code == 2
    assert "is not empty" in err
    with pytest.raises(BadInput, match="format"):
        isthmus.load(run_of("digits")).export(tmp_path / "new", format="tflite")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(("option", "known"), [("score", SCORES), ("format", tuple(WRITERS))])
def test_the_command_line_knows_all_choices(option, known):
    (action,) = [each for each in command.parser()._actions if each.dest == option]
    assert tuple(action.choices) == known


def test_names_from_data_do_not_control_the_terminal(here, tmp_path):
    table = pa.table(
        {"\x1b[31m<script>": np.arange(60.0) ** 0.5, "größe": list(map(str, np.arange(60) % 3 + 0.5))}
    )
    frame = table.to_pandas()
    frame["größe"] = np.where(np.arange(60) % 3 == 0, "\x1b[2Jä", "<b>")
    frame.to_parquet(tmp_path / "odd.parquet")
    assert (
        here("train", *SHORT, "data=table", "data.path=odd.parquet", "latent.dim=1", "hydra.run.dir=run")[0]
        == 0
    )
    code, out, err = here("export", "run", "-o", "out")
    assert code == 0, err
    readme = (tmp_path / "out" / "README.txt").read_text(encoding="utf-8")
    assert "\x1b" not in readme + out
    assert "größe" in readme
    columns = json.loads((tmp_path / "out" / "model.json").read_text(encoding="utf-8"))["columns"]
    assert columns["text"] == [{"name": "größe", "categories": ["\x1b[2Jä", "<b>"]}]


def test_the_check_notices_each_output(run_of, exported, model_of):
    """Wrong truth for any output is found; ties of categories are not errors."""
    model = model_of("visits")
    engine, preprocessing = model._engine, preprocessing_of(model._engine.accepted)
    rows = model.generate(200)
    truth = checking.Truth.of(engine, preprocessing, rows, "combined").outputs
    assert checking.difference(truth["code"], truth["code"], np.ones(1)) == 0
    numbers = truth["reconstructed_numbers"]
    unit = preprocessing.units()[0]
    moved = numbers + np.array([0, 1e-3 * unit[1], 0])
    assert checking.difference(moved, numbers, unit) == pytest.approx(1e-3, rel=1e-3)
    text = truth["reconstructed_text"]
    other = text.copy()
    other[0, 0] = "?"
    assert checking.difference(other, text, preprocessing.units()[1]) == 0
    other[:10, 0] = "?"
    assert checking.difference(other, text, preprocessing.units()[1]) == np.inf
