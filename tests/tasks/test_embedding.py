"""isthmus embed: codes as a table, maps of them, and their quality beside PCA."""

from __future__ import annotations

import csv
import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from pyarrow import parquet
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier

import isthmus
from isthmus.cli import embed as command
from isthmus.common.errors import BadInput
from isthmus.common.tensor_file import read_tensors
from isthmus.runs.folder.run_folder import RunFolder
from isthmus.runs.run_data import load_data
from isthmus.tasks.coding.coder import Coded
from isthmus.tasks.embedding import embed, mapping, page
from isthmus.tasks.embedding.encoded import encode
from isthmus.tasks.embedding.mapping import METHODS
from isthmus.tasks.embedding.rows import PARTS, Rows, own_rows
from isthmus.tasks.embedding.table import FORMATS
from isthmus.tasks.inputs.arrays import ArrayExamples

from .conftest import KINDS, write_visits

FILES = {"codes.parquet", "map.png", "map.html", "quality.json"}
HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(2)>",
    "</script><b>&amp;",
    "$x^{",
    "_ü\u202e",
]


@pytest.fixture
def quick(monkeypatch):
    """t-SNE is fitted to few rows."""
    for module in (mapping, embed):
        monkeypatch.setattr(module, "MOST_FITTED", 200)


def content(path):
    """The data of a page."""
    text = path.read_text(encoding="utf-8")
    return json.loads(text.split("const page = ")[1].split(";\n")[0])


@pytest.mark.parametrize("kind", KINDS)
def test_the_run_alone_gives_the_codes_errors_and_parts_that_training_recorded(
    kind, here, run_of, tmp_path, quick
):
    run = run_of(kind)
    code, out, err = here("embed", run, "-o", "new")
    assert code == 0, err
    folder = tmp_path / "new"
    assert {path.name for path in folder.iterdir()} == FILES
    assert all(name in out for name in FILES)
    table = parquet.read_table(folder / "codes.parquet").to_pandas()
    codes = table[[name for name in table if name.startswith("z_")]].to_numpy()
    assert (np.diff(table["row"]) > 0).all()
    split = json.loads((run / "provenance.json").read_text())["data"]["split"]
    assert table["part"].value_counts().to_dict() == {part: rows for part, rows in split.items() if rows}
    for part in ("val", "test"):
        recorded, about = read_tensors(run / "latents" / f"best_{part}.safetensors")
        mine = (table["part"] == part).to_numpy()
        np.testing.assert_array_equal(table["row"][mine], recorded["ids"])
        np.testing.assert_allclose(codes[mine], recorded["codes"], rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(table["mse"][mine], recorded["mse"], rtol=1e-4, atol=1e-6)
        if "names" in about:
            assert table["name"][mine].tolist() == about["names"]
        if "labels" in recorded:
            assert table["label"][mine].tolist() == [about["label_names"][at] for at in recorded["labels"]]
    found = json.loads((folder / "quality.json").read_text())
    results = json.loads((run / "results.json").read_text())
    assert found["autoencoder"]["mse"] == pytest.approx(results["test/mse"], rel=1e-4)
    if codes.shape[1] == 2:
        np.testing.assert_array_equal(table[["x", "y"]].to_numpy(), codes)
    assert np.isfinite(table[["x", "y"]].to_numpy()).all()
    assert Image.open(folder / "map.png").size[0] > 1000


def test_pca_and_accuracies_are_those_of_numpy_and_scikit_learn(here, run_of, tmp_path, quick, monkeypatch):
    run = run_of("digits")
    monkeypatch.setattr(mapping, "MANY", 199)
    code, _, err = here("embed", run, "-o", "new")
    assert (code, err) == (0, "Fitting t-SNE to 200 codes ...\n")
    found = json.loads((tmp_path / "new" / "quality.json").read_text())
    digits, split = load_digits(), load_data(RunFolder.open(run)).data.split
    x, new = (digits.data[rows] / 16 for rows in (split.train, split.test))
    _, _, axes = np.linalg.svd(x - x.mean(0), full_matrices=False)
    project = axes[:16].T @ axes[:16]
    error = (new - x.mean(0)) - (new - x.mean(0)) @ project
    assert found["pca"]["mse"] == pytest.approx(np.square(error).mean(), rel=1e-4)
    knn = KNeighborsClassifier(5).fit(x @ project, digits.target[split.train])
    assert found["pca"]["knn"] == pytest.approx(
        knn.score(new @ project, digits.target[split.test]), abs=0.006
    )
    for name in ("autoencoder", "pca"):
        assert all(0.7 < found[name][key] <= 1 for key in ("knn", "linear", "trustworthiness", "continuity"))


def test_of_new_data_the_formats_agree_and_a_stratified_split_is_scored(here, run_of, model_of, tmp_path):
    data = write_visits(tmp_path / "new.csv", rows=500, seed=3)
    for suffix in FORMATS:
        code, out, err = here("embed", run_of("visits"), data, "-o", suffix, "--table", suffix)
        assert code == 0, err
    assert "stratified by class (400 and 100 rows)" in out
    assert "new.csv" in content(tmp_path / "csv" / "map.html")["note"]
    codes = model_of("visits").encode(data)
    np.testing.assert_array_equal(np.load(tmp_path / "npy" / "codes.npy"), codes)
    table = parquet.read_table(tmp_path / "parquet" / "codes.parquet").to_pandas()
    np.testing.assert_array_equal(table[["z_0", "z_1"]].to_numpy(), codes)
    rows = list(csv.DictReader((tmp_path / "csv" / "codes.csv").open()))
    assert [*rows[0]] == [*table.columns] == ["row", "name", "label", "z_0", "z_1", "mse", "x", "y"]
    np.testing.assert_allclose([float(row["z_1"]) for row in rows], codes[:, 1], rtol=1e-6)
    shown = content(tmp_path / "csv" / "map.html")
    assert shown["columns"] == ["site", "day", "size", "smoker"]
    assert shown["cells"][0][0] in "abc"
    assert [name for name, _ in shown["about"]] == ["row", "name", "label", "mse"]


def test_results_go_into_the_run_folder_by_default_and_are_replaced(here, run_of, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(run_of("scaled"), run)
    np.save(tmp_path / "rows.npy", np.random.default_rng(1).normal(50, 10, (30, 5)))
    for _ in range(2):
        assert here("embed", run, "rows.npy")[0] == 0
    assert {path.name for path in (run / "embed" / "rows").iterdir()} == FILES
    assert here("embed", run)[0] == 0
    assert {path.name for path in (run / "embed").iterdir()} == {"rows", "own"}
    assert here("show", run, "--verify")[0] == 0
    assert here("resume", run, "trainer.max_epochs=3")[0] == 0


def test_names_and_labels_are_text_in_the_page_and_no_html(here, run_of, tmp_path):
    data = write_visits(tmp_path / "bad.csv", rows=60)
    lines = list(csv.reader(data.open()))
    for row, line in enumerate(lines[1:]):
        line[0], line[5] = HOSTILE[row % 5] + str(row), HOSTILE[row % 5]
    with data.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(lines)
    code, _, err = here("embed", run_of("visits"), data, "-o", "new")
    assert code == 0, err
    text = (tmp_path / "new" / "map.html").read_text(encoding="utf-8")
    assert text.count("</script>") == 2
    assert "<img src=x" not in text
    assert "alert(1)" in text
    shown = content(tmp_path / "new" / "map.html")
    visible = [text.replace("\u202e", r"\u202e") for text in (*HOSTILE, *(line[0] for line in lines[1:]))]
    assert {each["name"] for each in shown["classes"]} == set(visible[: len(HOSTILE)])
    assert dict(shown["about"])["name"] == visible[len(HOSTILE) :]
    assert "default-src 'none'" in text


def test_the_page_shows_the_images_and_stays_small(here, run_of, tmp_path, quick, monkeypatch):
    assert here("embed", run_of("photos"), "example:photos", "-o", "new")[0] == 0
    shown = content(tmp_path / "new" / "map.html")
    assert len(shown["images"]) == 200
    assert all(image.startswith("iVBOR") for image in shown["images"])
    monkeypatch.setattr(page, "LARGEST", 20_000)
    assert here("embed", run_of("photos"), "example:photos", "-o", "small")[0] == 0
    small = content(tmp_path / "small" / "map.html")
    count = len(small["x"])
    assert 0 < count == len(small["images"]) == len(small["value"]) < 50
    assert sum(map(len, small["images"])) < 25_000
    assert f"{count:,} of these 200 points" in small["note"]


def test_an_image_of_the_page_is_the_image(here, run_of, tmp_path):
    import base64
    import io

    images = load_digits().images.astype(np.uint8)[:20]
    np.save(tmp_path / "new.npy", images)
    assert here("embed", run_of("digits"), "new.npy", "-o", "new")[0] == 0
    for image, text in zip(images, content(tmp_path / "new" / "map.html")["images"], strict=True):
        pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(text))))
        np.testing.assert_allclose(pixels, image / 16 * 255, atol=1)


def test_rows_in_no_part_are_embedded_too_and_one_class_is_not_probed(here, run_of, tmp_path, quick):
    from isthmus.runs.config.compose import compose
    from isthmus.runs.train import train

    from .conftest import SHORT

    keys = [*SHORT, *KINDS["cancer"](tmp_path), "data.train_where=\"diagnosis == 'benign'\""]
    train(compose(keys), tmp_path / "run")
    code, out, err = here("embed", tmp_path / "run", "-o", "new")
    assert code == 0, err
    assert "no accuracies: all rows that are fitted on are of one class" in out
    found = json.loads((tmp_path / "new" / "quality.json").read_text())
    assert found["pca"]["knn"] is found["autoencoder"]["linear"] is None
    rows = own_rows(isthmus.load(tmp_path / "run"), tmp_path / "run")
    assert len(rows.examples) == 569
    labels = np.array(rows.examples.label_names)[rows.examples.labels]
    assert set(labels[rows.parts == PARTS.index("train")]) == {"benign"}
    assert set(labels[rows.parts == PARTS.index("none")]) == {"malignant"}


def test_few_rows_have_no_quality_and_the_table_is_written(here, run_of, tmp_path):
    np.save(tmp_path / "one.npy", np.full((1, 5), 50.0))
    code, _, err = here("embed", run_of("scaled"), "one.npy", "-o", "new")
    assert code == 0, err
    assert {path.name for path in (tmp_path / "new").iterdir()} == FILES - {"quality.json"}


def test_huge_values_have_a_map_and_codes_that_overflow_are_refused(here, run_of, model_of, tmp_path):
    new = np.random.default_rng(0).normal(50, 10, (40, 5)).astype(np.float32)
    new[7, 2] = 3e38
    np.save(tmp_path / "huge.npy", new)
    assert here("embed", run_of("scaled"), "huge.npy", "-o", "new")[0] == 0
    table = parquet.read_table(tmp_path / "new" / "codes.parquet").to_pandas()
    assert np.isfinite(table[["x", "y"]].to_numpy()).all()
    assert content(tmp_path / "new" / "map.html")["value"][7] is None
    model = model_of("scaled")
    batch = Coded(torch.tensor([[0.0, 1.0], [torch.inf, 0.0]]), torch.zeros(2), torch.zeros(2, 5))
    model.coded = lambda examples: iter([batch])
    with pytest.raises(BadInput, match="row 1: has a code that is not finite"):
        encode(model, Rows(ArrayExamples(np.zeros((2, 5)), model.accepted), None), np.arange(0))


REFUSED = {
    "packed": (["mine.isthmus"], "has no data of its own; give DATA"),
    "absent": (["RUN", "absent.npy"], "there is no such file"),
    "own elsewhere": (["RUN", "data.path=absent.npy"], "absent.npy"),
    "unknown key": (["RUN", "data.nonsense=1"], "no such key"),
    "no key": (["RUN", "new.npy", "latent.dim=3"], "is no key of the data"),
    "shape": (["RUN", "wide.npy"], "must be [N, 5]"),
    "NaN": (["RUN", "holes.npy"], "row 7: has a value that is missing (NaN)"),
    "empty": (["RUN", "empty.npy"], "is empty"),
    "seed": (["RUN", "new.npy", "--seed", "-1"], "--seed=-1"),
    "few": (["RUN", "few.npy", "--map", "tsne"], "needs at least 10 rows"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_embedded_is_refused_in_one_line_and_leaves_no_file(name, here, run_of, tmp_path):
    run = run_of("scaled")
    assert here("pack", run, "mine.isthmus")[0] == 0
    new = np.random.default_rng(0).normal(50, 10, (20, 5)).astype(np.float32)
    for file, value in (("holes", np.nan), ("new", 50.0)):
        new[7, 2] = value
        np.save(tmp_path / f"{file}.npy", new)
    np.save(tmp_path / "few.npy", new[:4])
    np.save(tmp_path / "wide.npy", np.ones((20, 6)))
    np.save(tmp_path / "empty.npy", new[:0])
    before = set(tmp_path.iterdir())
    arguments, message = REFUSED[name]
    code, _, err = here("embed", *[run if each == "RUN" else each for each in arguments], "-o", "new")
    assert code == 2
    assert message in err
    assert len(err.splitlines()) == 1
    assert set(tmp_path.iterdir()) == before


def test_data_that_are_gone_or_have_changed_are_refused(here, run_of, tmp_path, monkeypatch):
    from isthmus.runs.config.compose import compose
    from isthmus.runs.train import train

    from .conftest import SHORT, VISITS

    data = write_visits(tmp_path / "mine.csv")
    train(compose([*SHORT, *VISITS, f"data.path={data}", "latent.dim=2"]), tmp_path / "run")
    write_visits(data, seed=1)
    code, _, err = here("embed", tmp_path / "run", "-o", "new")
    assert (code, len(err.splitlines())) == (2, 1)
    assert "have changed since training; give DATA" in err
    data.unlink()
    code, _, err = here("embed", tmp_path / "run", "-o", "new")
    assert (code, len(err.splitlines())) == (2, 1)
    assert "mine.csv" in err
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(("option", "known"), [("map", METHODS), ("table", FORMATS)])
def test_the_command_line_knows_all_choices(option, known):
    (action,) = [each for each in command.parser()._actions if each.dest == option]
    assert tuple(action.choices) == known
