"""`isthmus.train` and `isthmus.open_run`: runs of the command line from Python, and of data in memory."""

from __future__ import annotations

import html.parser
import os
import random
import signal
import stat
import threading
import time
import traceback

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from sklearn.datasets import load_breast_cancer, load_digits

import isthmus
from isthmus.common.errors import BadInput, TrainingDiverged
from isthmus.runs.errors import Stopped
from isthmus.runs.evaluate import evaluate
from isthmus.runs.folder.run_folder import RunFolder
from isthmus.runs.loading import load
from isthmus.runs.reproduce import prepare, reproduce

SHORT = [
    "trainer.max_epochs=2",
    "trainer.progress_bar=none",
    "trainer.accelerator=cpu",
    "logger=csv",
    "callbacks.figures.summary=false",
]
DIGITS = load_digits()
CANCER = load_breast_cancer(as_frame=True).frame
ODD = "<script>alert(1)</script>"


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch, cache):
    monkeypatch.chdir(tmp_path)


DATA = {
    "images": (DIGITS.images.astype(np.uint8), DIGITS.target),
    "features": (DIGITS.data[::3], DIGITS.target[::3].astype(str)),
    "tensor": (torch.from_numpy(DIGITS.images).to(torch.bfloat16), None),
    "pandas": (CANCER, "target"),
    "pyarrow": (pa.Table.from_pandas(CANCER.drop(columns="target")), list(map(str, CANCER.target))),
}


@pytest.mark.parametrize("kind", DATA)
def test_data_in_memory(kind, tmp_path):
    """Rows and classes are those that were given, and the run works from its folder."""
    data, labels = DATA[kind]
    run = isthmus.train(SHORT, data=data, labels=labels, path=tmp_path / kind)
    assert run.status == "done"
    assert run.path == tmp_path / kind
    place = run.config.data.path
    kept = pd.read_parquet(place) if place.endswith(".parquet") else np.load(place)
    if kind in ("images", "features"):
        assert np.array_equal(kept, data)
        assert kept.dtype == data.dtype
    elif kind == "tensor":
        assert np.array_equal(kept, data.float().numpy())
    elif kind == "pandas":
        pd.testing.assert_frame_equal(kept, CANCER)
    again = evaluate(run.path)
    assert again["same_data"]
    assert again["test/mse"] == pytest.approx(run.results["test/mse"], rel=1e-6)
    classes = load(RunFolder.open(run.path)).parts.data.source.labels
    assert labels is None or len(classes.unique()) == (2 if kind in ("pandas", "pyarrow") else 10)
    assert labels is not None or classes is None
    if kind == "images":
        assert classes.tolist() == DIGITS.target.tolist()
    assert len(run.model.encode(data[:5])) == 5


def test_the_same_data_are_kept_once_and_privately(cache):
    places = {isthmus.train(SHORT, data=DIGITS.data[:400]).config.data.path for _ in range(2)}
    (place,) = places
    assert stat.S_IMODE(os.stat(os.path.dirname(place)).st_mode) == 0o700
    assert not [name for name in os.listdir(os.path.dirname(place)) if name.endswith(".part")]


def test_the_model_file_has_no_data_and_no_path():
    run = isthmus.train(SHORT, data=DIGITS.data[:400])
    content = (run.path / "model.isthmus").read_bytes()
    assert run.config.data.path.encode() not in content
    row = DIGITS.data[run.model.encode(DIGITS.data[:1]).shape[0]].astype(np.float32).tobytes()
    assert row not in content


def test_a_run_is_reproduced():
    run = isthmus.train(SHORT, data=DIGITS.images[:500].astype(np.uint8))
    made, verdict = reproduce(prepare(run.path, to=run.path.with_name("again")), tolerance=0.0)
    assert verdict.verdict == "identical"
    assert isthmus.open_run(made.path).results == run.results


@pytest.mark.parametrize(
    "overrides",
    [
        [*SHORT, "latent.dim=3", "architecture.hidden=[16,8]", "name=mine"],
        {
            "trainer": {"max_epochs": 2, "progress_bar": "none", "accelerator": "cpu"},
            "logger": "csv",
            "latent": {"dim": np.int64(3)},
            "architecture.hidden": [16, 8],
            "name": "mine",
        },
    ],
)
def test_overrides(overrides, tmp_path):
    run = isthmus.train(overrides)
    assert run.config.latent.dim == 3
    assert list(run.config.architecture.hidden) == [16, 8]
    assert run.path.resolve() == tmp_path / "outputs" / "digits_ae" / "mine"
    assert isthmus.open_run("mine").results == isthmus.open_run("latest").results == run.results


def test_a_config_is_trained():
    first = isthmus.train([*SHORT, "latent.dim=3"])
    config = first.config
    second = isthmus.train(config)
    assert second.path != first.path
    assert second.results == first.results
    config.latent.dim = 2
    assert isthmus.train(config).model.latent_dim == 2


def test_python_gives_what_the_command_gives(here, tmp_path):
    typed = [*SHORT, "trainer.threads=1"]
    assert here("train", *typed, "hydra.run.dir=command").code == 0
    assert isthmus.train(typed).results == isthmus.open_run(tmp_path / "command").results


def test_the_process_stays_as_it_was():
    def state():
        return random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()

    before, threads, handler = state(), torch.get_num_threads(), signal.getsignal(signal.SIGINT)
    isthmus.train([*SHORT, "trainer.threads=2"])
    assert state() == before
    assert torch.get_num_threads() == threads
    assert signal.getsignal(signal.SIGINT) is handler


@pytest.mark.parametrize(
    ("overrides", "options", "message"),
    [
        (["latent.dm=3"], {}, "latent.dm=3: there is no such key; did you mean latent.dim?"),
        ({"latent": {"dim": 0}}, {}, "latent.dim=0: must be a whole number of at least 1"),
        ("latent.dim=3", {}, "overrides=latent.dim=3: must be a list of texts"),
        (["data=table"], {"data": DIGITS.data}, "data=table: is another choice than the data"),
        ([], {"data": np.array([["a"]])}, "data=values of type <U1: must be numbers"),
        ([], {"data": np.full((3, 2), np.nan)}, "NaN, infinity or numbers beyond float32 in 3 of 3 rows"),
        ([], {"data": CANCER.iloc[:0]}, "data=a table without rows: is empty"),
        ([], {"data": CANCER, "labels": [1, 2]}, r"labels=shape \[2\]: must be \[569\]"),
        ([], {"data": CANCER, "labels": "diagnosis"}, "data.label=diagnosis"),
        ([], {"data": CANCER[["target", "target"]]}, "data=DataFrame: cannot be read as a table"),
        ([], {"data": DIGITS.data, "labels": "target"}, "labels=target: names a column"),
        ([], {"labels": [1]}, "labels=list: are of data"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_no_run(overrides, options, message, tmp_path):
    with pytest.raises(BadInput, match=message) as raised:
        isthmus.train(overrides, **options)
    assert isinstance(raised.value, ValueError)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "outputs").exists()


def test_names_of_columns_are_taken_literally():
    frame = CANCER.iloc[:, :3].set_axis(["a,b", ODD, "${oc.env:HOME}"[:3] + " [x]"], axis=1)
    frame['it\'s "it"'] = CANCER.target
    run = isthmus.train(SHORT, data=frame, labels='it\'s "it"')
    assert run.model.columns == list(frame)[:3]


class Tags(html.parser.HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.text, self.links = [], "", []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.links += [value for name, value in attributes if name in ("src", "href")]

    def handle_data(self, data):
        self.text += data


@pytest.mark.parametrize("kind", ["images", "pandas", "features"])
def test_what_a_notebook_shows(kind, tmp_path):
    data, labels = DATA[kind]
    if kind == "pandas":
        data = data.rename(columns={"mean radius": ODD})
    run = isthmus.train([*SHORT, "latent.dim=3"], data=data, labels=labels, path=tmp_path / f"{kind}<b>&")
    found = Tags(run._repr_html_())
    assert {"script", "b&"}.isdisjoint(found.tags)
    assert f"{kind}<b>&" in found.text
    assert "latent.dim=3" in found.text
    assert f"{run.results['test/mse']:.5g}" in found.text
    assert all(link.startswith("data:image/") for link in found.links)
    assert sum(link.startswith("data:image/svg+xml") for link in found.links) == 1
    assert sum(link.startswith("data:image/png") for link in found.links) == (kind == "images")
    assert (ODD in found.text) == (kind == "pandas")
    assert found.text.count("row ") == (0 if kind == "images" else 3)
    assert "done" in repr(run)


def test_the_history(tmp_path):
    run = isthmus.train(SHORT)
    history = run.history()
    assert history["epoch"].tolist() == [1, 2] == list(run.metrics.index)
    assert history["train/loss"][0] > history["train/loss"][1]
    assert run.metrics["val/mse"].tolist() == history["val/mse"].tolist()
    assert min(history["val/loss"]) == run.results["val/loss"]


def test_an_interrupted_run_is_resumed(tmp_path):
    whole = isthmus.train([*SHORT, "trainer.max_epochs=30"], path=tmp_path / "whole")

    def interrupt():
        while not list((tmp_path / "cut").glob("checkpoints/last.ckpt")):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt) as stopped:
        isthmus.train([*SHORT, "trainer.max_epochs=30"], path=tmp_path / "cut")
    assert isinstance(stopped.value, Stopped)
    run = isthmus.open_run(stopped.value.path)
    assert run.status == "stopped"
    assert run.results == {}
    assert "stopped" in run._repr_html_()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    again = run.resume()
    assert again.status == "done"
    assert again.results == whole.results


def test_a_training_that_diverges_is_short_and_names_its_run(tmp_path):
    with pytest.raises(TrainingDiverged, match=r"the loss is .* at step") as raised:
        isthmus.train([*SHORT, "optimizer.lr=1e30"], data=DIGITS.data[:400], path=tmp_path / "run")
    lines = traceback.format_exception(raised.value)
    assert not [line for line in lines if "pytorch_lightning" in line]
    assert lines[-1].strip() == f"its run: isthmus.open_run({str(tmp_path / 'run')!r})"
    run = isthmus.open_run(tmp_path / "run")
    assert run.status == "failed"
    assert len(run.metrics) == 0
    with pytest.raises(TrainingDiverged) as raised:
        run.resume()
    assert not [line for line in traceback.format_exception(raised.value) if "pytorch_lightning" in line]


def test_names_of_the_package_are_completed():
    assert {*isthmus.__all__, "__version__"} <= {*dir(isthmus)}


def test_no_such_run():
    with pytest.raises(BadInput, match="there is no such folder, nor a run of this name"):
        isthmus.open_run("none")
