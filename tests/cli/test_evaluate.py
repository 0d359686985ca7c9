"""`isthmus evaluate`: from a run folder alone to the numbers that training left in it."""

from __future__ import annotations

import csv
import json
import shutil

import numpy as np
import pytest

from .lines import SHORT, refused

MODELS = {
    "linear": ("architecture=linear",),
    "mlp": ("architecture=mlp", "architecture.hidden=[16]", "architecture.normalization=batch"),
    "conv": ("architecture=conv", "architecture.channels=[4]", "architecture.normalization=batch"),
    "resnet": ("architecture=resnet", "architecture.channels=[4]", "architecture.normalization=group"),
    "noisy_vae": ("model=vae", "noise=gaussian", "architecture.hidden=[16]", "data.eval_batch_size=100"),
}


@pytest.fixture
def trained(here, tmp_path):
    """Train a linear autoencoder; gives its folder."""
    assert here("train", *MODELS["linear"], *SHORT, "hydra.run.dir=run").code == 0
    return tmp_path / "run"


@pytest.mark.parametrize("model", MODELS)
def test_the_test_metrics_come_again(model, here, tmp_path):
    assert here("train", *MODELS[model], *SHORT, "hydra.run.dir=run").code == 0
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    said = here("evaluate", "run", "--json")
    assert said.code == 0
    again = json.loads(said.out)
    wanted = {k: v for k, v in results.items() if k.startswith("test/") and isinstance(v, float)}
    assert {"test/loss", "test/mse", "test/psnr"} <= set(wanted)
    assert {name: again[name] for name in wanted} == pytest.approx(wanted, rel=1e-6, abs=1e-6)
    assert again["epoch"] == results["epoch"]
    assert again["step"] == results["step"]
    assert again["same_data"] is True


def test_under_slurm_and_beside_what_lightning_would_take_up(here, trained, monkeypatch):
    """Of several tasks each evaluates; a checkpoint that Lightning might have made there is not read."""
    (trained / "hpc_ckpt_1.ckpt").write_bytes(b"nonsense")
    for name, value in {"JOB_ID": "7", "NTASKS": "2", "JOB_NAME": "x", "PROCID": "0"}.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    said = here("evaluate", "run")
    assert (said.code, said.err) == (0, "")


def test_it_prints_a_table_and_writes_nothing(here, trained):
    before = {path: path.stat().st_mtime_ns for path in trained.rglob("*")}
    said = here("evaluate", "run")
    assert (said.code, said.err) == (0, "")
    results = json.loads((trained / "results.json").read_text())
    printed = {line.split()[0]: line.split()[-1] for line in said.out.splitlines() if line.strip()}
    assert float(printed["mse"]) == pytest.approx(results["test/mse"], rel=1e-5)
    assert "best checkpoint, epoch 1" in said.out
    assert {path: path.stat().st_mtime_ns for path in trained.rglob("*")} == before


def test_the_last_checkpoint_need_not_be_the_best(here, tmp_path):
    worst = ("callbacks.checkpoint.mode=max", "trainer.max_epochs=3", "optimizer.lr=0.001")
    assert here("train", *MODELS["linear"], *SHORT, *worst, "hydra.run.dir=run").code == 0
    best = json.loads(here("evaluate", "run", "--json").out)
    last = json.loads(here("evaluate", "run", "--json", "--checkpoint", "last").out)
    assert (best["epoch"], last["epoch"]) == (1, 3)
    assert last["test/mse"] < best["test/mse"]


def test_what_differs_now_is_an_override(here, trained):
    said = here("evaluate", "run", "data.test_size=0.5")
    assert said.code == 0
    assert "a leak: 539 of the 898 tested rows were used in training" in said.out


@pytest.mark.parametrize("override", ["latent.dmi=3", "data.foo=1"])
def test_an_override_of_an_unknown_key_is_refused(override, here, trained):
    assert override in refused(here("evaluate", "run", override))


@pytest.mark.parametrize("name", ["nowhere", "."])
def test_what_is_no_run_folder_is_refused(name, here):
    assert f"RUN={name}" in refused(here("evaluate", name))


def test_a_folder_of_runs_names_one_of_them(here, trained, tmp_path):
    (tmp_path / "outputs").mkdir()
    trained.rename(tmp_path / "outputs" / "mine")
    assert "did you mean outputs/mine?" in refused(here("evaluate", "outputs"))


def test_a_run_without_a_checkpoint_is_refused(here, trained):
    shutil.rmtree(trained / "checkpoints")
    line = refused(here("evaluate", "run"))
    assert "RUN=run" in line
    assert "best.ckpt" in line


def write_table(path, columns):
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))


@pytest.fixture
def fruit(here, tmp_path):
    """Train on a table whose columns are of different scales; gives its columns."""
    draw = np.random.default_rng(0)
    size = draw.normal(5, 2, 60)
    columns = {
        "size": size,
        "weight": 1000 + 3 * size,
        "price": draw.normal(0, 1, 60),
        "kind": ["a", "b"] * 30,
    }
    write_table(tmp_path / "fruit.csv", columns)
    typed = ("data=table", "data.path=fruit.csv", "data.drop=[kind]", *MODELS["linear"], *SHORT)
    assert here("train", *typed, "hydra.run.dir=run").code == 0
    return columns


@pytest.mark.parametrize(
    "typed", [(), ("data.columns=null",), ("data.columns=[size,weight,price]",)], ids=str
)
@pytest.mark.parametrize("order", [["weight", "price", "size"], ["more", "weight", "price", "kind", "size"]])
def test_columns_of_a_table_are_matched_by_name(order, typed, here, fruit, tmp_path):
    wanted = json.loads((tmp_path / "run" / "results.json").read_text())["test/mse"]
    write_table(tmp_path / "other.csv", {name: fruit.get(name, ["words"] * 60) for name in order})
    said = here("evaluate", "run", "data.path=other.csv", "data.test_size=0.2", "--json", *typed)
    assert said.code == 0
    assert json.loads(said.out)["test/mse"] == wanted


def test_all_rows_of_other_data_are_tested(here, fruit, tmp_path):
    write_table(tmp_path / "other.csv", {name: cells[:7] for name, cells in fruit.items()})
    said = here("evaluate", "run", "data.path=other.csv")
    assert "other data" in said.out
    assert "7 rows tested" in said.out
    assert "leak" not in said.out


def test_other_data_are_given_like_those_of_other_commands(here, fruit, tmp_path):
    write_table(tmp_path / "o=1, x.csv", {name: cells[:7] for name, cells in fruit.items()})
    said = here("evaluate", "run", "o=1, x.csv", "--json")
    assert json.loads(said.out)["rows"] == 7
    assert said.out == here("evaluate", "run", 'data.path="o=1, x.csv"', "--json").out
    np.save(tmp_path / "x.npy", np.random.default_rng(0).random((40, 8, 8), np.float32))
    typed = ("data=arrays", "data.path=x.npy", *SHORT)
    assert here("train", *typed, "hydra.run.dir=pixels").code == 0
    np.save(tmp_path / "new.npy", np.random.default_rng(1).random((9, 8, 8), np.float32))
    said = here("evaluate", "pixels", "new.npy", "--json")
    assert said.code == 0, said.err
    assert json.loads(said.out)["rows"] == 9


def test_a_run_of_data_without_a_path_takes_no_other_data(here, trained, tmp_path):
    line = refused(here("evaluate", "run", "new.npy"))
    assert "DATA=new.npy: the run's data have no path" in line


@pytest.mark.parametrize(
    ("absent", "says"),
    [
        (["size"], ("data.columns=size: the run was trained on it, but", "other.csv", "the nearest is")),
        (["size", "price"], ("data.columns=size, price: ", "no such columns in ", "it has weight, kind")),
    ],
    ids=str,
)
def test_absent_columns_of_a_table_are_refused_by_name(absent, says, here, fruit, tmp_path):
    write_table(tmp_path / "other.csv", {name: fruit[name] for name in fruit if name not in absent})
    line = refused(here("evaluate", "run", "data.path=other.csv"))
    assert all(part in line for part in says), line


def test_other_columns_than_the_run_was_trained_on_are_refused(here, fruit):
    line = refused(here("evaluate", "run", "data.columns=[weight,size,price]"))
    assert "data.columns=['weight', 'size', 'price']" in line
    assert "['size', 'weight', 'price'], in this order" in line


def test_a_run_that_recorded_no_columns_takes_those_of_the_file(here, fruit, tmp_path):
    path = tmp_path / "run" / "provenance.json"
    provenance = json.loads(path.read_text())
    del provenance["data"]["columns"]
    path.write_text(json.dumps(provenance))
    assert here("evaluate", "run").code == 0


@pytest.fixture
def patients(tmp_path):
    """A table of 60 rows of 12 patients on 60 days."""
    draw = np.random.default_rng(0)
    columns = {"a": draw.normal(size=60), "b": draw.normal(size=60), "patient": [at % 12 for at in range(60)]}
    write_table(tmp_path / "x.csv", {**columns, "day": range(60)})


@pytest.mark.parametrize(
    ("keys", "others"),
    [
        (("data.time_column=day",), ("data.time_column=null", "data.drop=[day]")),
        (("data.group_column=patient",), ("data.group_column=null", "data.drop=[patient]")),
    ],
)
def test_leaks_are_counted_against_the_split_that_was_trained_on(here, patients, tmp_path, keys, others):
    columns = ("data=table", "data.path=x.csv", "data.columns=[a,b]")
    assert here("train", *columns, *keys, *MODELS["linear"], *SHORT, "hydra.run.dir=run").code == 0
    assert not json.loads(here("evaluate", "run", "--json").out)["leaked"]
    typed = [each for each in others if not each.startswith("data.drop")]
    results = json.loads(
        here("evaluate", "run", "--json", *typed, "data.test_size=59", "data.val_size=0").out
    )
    test = json.loads((tmp_path / "run" / "provenance.json").read_text())["data"]["split"]["test"]
    assert results["rows"] == 59
    assert 59 - test <= results["leaked"] <= 60 - test


def test_new_data_need_no_groups_and_no_former_test_set(here, patients, tmp_path):
    write_table(
        tmp_path / "test.csv", {"a": range(30), "b": range(30), "patient": range(100, 130), "day": range(30)}
    )
    typed = ("data=table", "data.path=x.csv", "data.test_path=test.csv", "data.group_column=patient")
    typed = (*typed, "data.columns=[a,b]")
    assert here("train", *typed, *MODELS["linear"], *SHORT, "hydra.run.dir=run").code == 0
    write_table(tmp_path / "new.csv", {"b": [1, 2, 3], "a": [4, 5, 6]})
    results = json.loads(here("evaluate", "run", "--json", "data.path=new.csv").out)
    assert (results["rows"], results["leaked"]) == (3, 0)


def test_new_text_and_the_format_of_numbers_are_said(here, tmp_path):
    rows = [f"{at % 7},5;1.00{at % 9};{'xy'[at % 2]}\n" for at in range(40)]
    (tmp_path / "x.csv").write_text("a;b;c\n" + "".join(rows))
    typed = ("data=table", "data.path=x.csv", *MODELS["linear"], *SHORT, "hydra.run.dir=run")
    assert here("train", *typed).code == 0
    # whole numbers in a, so that only the run knows what the points mean
    (tmp_path / "new.csv").write_text("a;b;c\n" + "".join(f"{at};1.00{at};z\n" for at in range(5)))
    said = here("evaluate", "run", "data.path=new.csv").out
    assert "thousands separated by point" in said
    assert "unseen     text that is in no training row: 5 of 5 cells of 'c'" in said


def test_files_are_found_from_any_folder(here, tmp_path, monkeypatch):
    for name in ("x_1.csv", "x_2.csv", "test.csv"):
        write_table(tmp_path / name, {"a": np.random.default_rng(0).normal(size=40), "b": range(40)})
    typed = ("data=table", "data.path=x_*.csv", "data.test_path=test.csv", "data.columns=[a,b]")
    assert here("train", *typed, *MODELS["linear"], *SHORT, "hydra.run.dir=run").code == 0
    monkeypatch.chdir("/")
    results = json.loads(here("evaluate", str(tmp_path / "run"), "--json").out)
    assert (results["rows"], results["leaked"], results["same_data"]) == (40, 0, True)
