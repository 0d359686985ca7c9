"""pack, generate and detect as commands: what they write, and what they refuse in one line."""

from __future__ import annotations

import csv
import os
import re

import numpy as np
import pytest
from PIL import Image
from pyarrow import parquet
from sklearn.datasets import load_digits
from sklearn.metrics import average_precision_score, roc_auc_score

import isthmus
from isthmus.cli import detect, generate
from isthmus.core.detection.detector import SCORES
from isthmus.tasks.coding.draw import SAMPLERS

from .conftest import write_visits


def test_a_packed_model_is_the_model_of_the_run(here, run_of, tmp_path):
    code, out, _ = here("pack", run_of("digits"), "mine.isthmus")
    assert code == 0
    assert "mine.isthmus" in out
    x = load_digits().images.astype(np.uint8)[:10]
    packed, original = isthmus.load(tmp_path / "mine.isthmus"), isthmus.load(run_of("digits"))
    np.testing.assert_array_equal(packed.score(x), original.score(x))
    code, _, err = here("pack", run_of("digits"), "mine.isthmus")
    assert code == 2
    assert "nothing is overwritten" in err
    assert here("pack", run_of("digits"), "mine.isthmus", "--overwrite")[0] == 0
    assert here("pack", run_of("digits"), "absent/mine.isthmus")[0] == 2
    assert here("pack", "mine.isthmus", "again.isthmus")[0] == 0


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_scores_are_written_in_order_with_names_labels_and_causes(suffix, here, run_of, model_of, tmp_path):
    data = write_visits(tmp_path / "new.csv", rows=5000, seed=3)
    code, out, err = here("detect", run_of("visits"), data, "-o", f"out.{suffix}", "--false-alarm-rate", 0.1)
    assert code == 0, err
    assert "anomalies" in out
    assert "ROC" in out
    if suffix == "csv":
        rows = list(csv.DictReader((tmp_path / "out.csv").open()))
    else:
        rows = parquet.read_table(tmp_path / "out.parquet").to_pylist()
    assert [row["name"] for row in rows] == [f"p{row}" for row in range(5000)]
    assert {row["label"] for row in rows} == {"ill", "well"}
    assert {row["cause_1"] for row in rows} <= {"site", "day", "size", "smoker"}
    expected = model_of("visits").detect(data, false_alarm_rate=0.1)
    np.testing.assert_allclose([float(row["score"]) for row in rows], expected.score, rtol=1e-4, atol=1e-5)


def test_keys_of_the_format_may_differ_from_training(here, run_of, tmp_path):
    file = write_visits(tmp_path / "new.csv", rows=50)
    file.write_text("of the clinic, 2024\n" + file.read_text().replace(",", ";"), encoding="utf-16")
    given = ("data.csv.encoding=utf-16", "data.csv.separator=semicolon", "data.csv.skip_rows=1")
    code, _, err = here("detect", run_of("visits"), file, *given, "--false-alarm-rate", 0.1)
    assert code == 0, err
    rows = list(csv.DictReader((tmp_path / "new_scores.csv").open()))
    assert [row["name"] for row in rows] == [f"p{row}" for row in range(50)]
    code, _, err = here("detect", run_of("visits"), file, "data.csv.nonsense=1", "--overwrite")
    assert code == 2
    assert "csv.nonsense" in err


def test_images_are_named_by_their_files(here, run_of, tmp_path):
    (tmp_path / "new").mkdir()
    for name in ("b", "a"):
        Image.new("RGB", (24, 24), "red").save(tmp_path / "new" / f"{name}.png")
    assert here("detect", run_of("photos"), "new")[0] == 0
    rows = list(csv.DictReader((tmp_path / "new_scores.csv").open()))
    assert [row["name"] for row in rows] == ["a.png", "b.png"]
    assert rows[0]["cause_1"].startswith("row ")


@pytest.mark.parametrize(
    ("parser", "option", "known"),
    [(detect.parser, "score", SCORES), (generate.parser, "sampler", SAMPLERS)],
)
def test_the_command_line_knows_all_choices(parser, option, known):
    (action,) = [each for each in parser()._actions if each.dest == option]
    assert tuple(action.choices) == known


REFUSED = {
    "no data": (["absent.csv"], "there is no such file"),
    "rate": (["new.csv", "--false-alarm-rate", "0.0001"], "is too small"),
    "format": (["new.csv", "-o", "out.xlsx"], "must end in .csv or .parquet"),
    "key": (["new.csv", "latent.dim=3"], "is no key of the data"),
    "unknown": (["new.csv", "data.nonsense=3"], "there is no such key"),
    "columns": (["other.csv"], "the run was trained on it"),
    "missing": (["holes.csv", "data.missing=refuse"], "1 cell is missing: 'size' in row 2"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_scored_is_refused_in_one_line_and_leaves_no_file(name, here, run_of, tmp_path):
    write_visits(tmp_path / "new.csv", rows=20)
    (tmp_path / "other.csv").write_text("a,b\n1,2\n3,4\n")
    lines = (tmp_path / "new.csv").read_text().splitlines()
    lines[3] = "p2,a,2024-01-01,,true,ill"
    (tmp_path / "holes.csv").write_text("\n".join(lines))
    before = set(tmp_path.iterdir())
    arguments, message = REFUSED[name]
    code, _, err = here("detect", run_of("visits"), *arguments)
    assert code == 2
    assert message in err
    assert len(err.splitlines()) == 1
    assert set(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("photos", {"samples.npy", "samples.png", "interpolations.png", "traversals.png"}),
        ("scaled", {"samples.npy", "traversals.npy"}),
        ("visits", {"samples.csv", "traversals.csv"}),
    ],
)
def test_new_examples_are_written_to_a_folder(kind, names, here, run_of, tmp_path):
    code, out, err = here("generate", run_of(kind), "-n", 5, "-o", "new")
    assert code == 0, err
    assert {path.name for path in (tmp_path / "new").iterdir()} == names
    assert all(name in out for name in names)
    code, _, err = here("generate", run_of(kind), "-o", "new")
    assert code == 2
    assert "is not empty" in err
    assert here("generate", run_of(kind), "-n", 0, "-o", "other")[0] == 2


def test_the_test_rows_of_a_run_are_scored_without_data(here, run_of, tmp_path):
    """Numbers are those of the rows in the training file; the classes of training rows are normal."""
    table = tmp_path / "two.csv"
    generator = np.random.default_rng(0)
    kinds = ["good"] * 300 + ["bad <b>$x$</b>"] * 60
    with table.open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["a", "b", "c", "kind", "id"])
        for row, kind in enumerate(kinds):
            values = generator.normal(0 if kind == "good" else 6, 1, 3)
            out.writerow([*values, kind, f"r{row}"])
    few = ("data.val_size=80", "data.test_size=0.4", "trainer.max_epochs=20", "logger=csv")
    normal = ("data=table", f"data.path={table}", "data.label=kind", "data.id=id")
    where = "data.train_where=\"kind == 'good'\""
    code, _, err = here("train", *normal, where, *few, "hydra.run.dir=run", "trainer.accelerator=cpu")
    assert code == 0, err
    code, out, err = here("detect", "run", "--false-alarm-rate", 0.1)
    assert code == 0, err
    assert "bad <b>$x$</b>" in out
    rows = list(csv.DictReader((tmp_path / "run/detect/test_scores.csv").open()))
    assert all(row["name"] == f"r{row['row']}" and row["label"] == kinds[int(row["row"])] for row in rows)
    scores, others = np.array([[float(row["score"]), row["label"] != "good"] for row in rows]).T
    area = re.search(r"bad.* (\d\.\d+) +(\d\.\d+)\n", out)
    assert float(area[1]) == pytest.approx(roc_auc_score(others, scores), abs=5e-4)
    assert float(area[2]) == pytest.approx(average_precision_score(others, scores), abs=5e-4)
    above = sum(row["outlier"] == "true" and row["label"] == "good" for row in rows)
    assert re.search(rf"good: {above} of {int((others == 0).sum())} .*; \d+ to \d+ are expected", out)
    names = {"test_scores.png", "test_scores_roc.png", "test_scores_precision_recall.png"}
    assert {path.name for path in (tmp_path / "run/detect").glob("*.png")} == names
    assert here("detect", "run", "--false-alarm-rate", 0.1)[0] == 0, "its own results are replaced"
    _, out, _ = here("detect", "run", table, "--normal", "bad <b>$x$</b>")
    assert "the model was trained on rows of these data" in out
    assert re.search(r"good +300 ", out)
    for given, said in (
        (("run", "--normal", "nice"), "is no class of the data"),
        (("run", table, "data.label=null", "--normal", "good", "-o", "x.csv"), "have no labels"),
        (("run", "data.path=absent.csv"), "absent.csv"),
        (("run", "data.nonsense=1"), "data.nonsense"),
    ):
        code, _, err = here("detect", *given)
        assert (code, err.count("\n")) == (2, 1), given
        assert said in err
    assert not (tmp_path / "x.csv").exists()
    here("pack", "run", "packed.isthmus")
    code, _, err = here("detect", "packed.isthmus")
    assert code == 2
    assert "has no data of its own" in err


@pytest.mark.parametrize("command", ["export", "detect", "generate"])
def test_a_folder_that_may_only_be_read(command, here, run_of, tmp_path, monkeypatch):
    (tmp_path / "out").mkdir()
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # permissions do not bind root
    output = "out/scores.csv" if command == "detect" else "out"
    code, _, err = here(command, run_of("digits"), "--output", output)
    assert (code, err.count("\n")) == (2, 1), err
    assert "out: may only be read; give another folder" in err
    assert not list((tmp_path / "out").iterdir())
