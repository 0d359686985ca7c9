"""A run that cannot go on is refused before anything in its folder changes."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal

import pytest
import torch
import yaml

from isthmus.common.errors import BadInput
from isthmus.runs.config.compose import compose
from isthmus.runs.errors import Stopped
from isthmus.runs.evaluate import evaluate
from isthmus.runs.execution import reopening
from isthmus.runs.folder.run_folder import RunFolder
from isthmus.runs.reproduce import prepare
from isthmus.runs.resume import resume
from isthmus.runs.train import train
from isthmus.training.callbacks.checkpoints import Checkpoints
from isthmus.training.checkpoint.io import read_checkpoint

SMALL = (
    *("data.batch_size=140", "data.val_size=0.25", "architecture.hidden=[8]", "latent.dim=2"),
    *("trainer=cpu", "trainer.threads=1", "trainer.progress_bar=none", "trainer.max_epochs=3"),
    *("callbacks.figures.enabled=false", "callbacks.projector.enabled=false"),
)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run that is done, and one that was stopped in its second epoch, after ten steps."""
    base = tmp_path_factory.mktemp("runs")
    train(compose([*SMALL]), base / "done")
    agreed = Checkpoints._agreed
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            Checkpoints,
            "_agreed",
            lambda self, trainer: (
                (signal.SIGTERM, False) if trainer.global_step == 10 else agreed(self, trainer)
            ),
        )
        with pytest.raises(Stopped):
            train(compose([*SMALL]), base / "stopped")
    return base


@pytest.fixture
def run(runs, tmp_path):
    """A copy of one of them."""
    return lambda which: RunFolder(shutil.copytree(runs / which, tmp_path / which))


def contents(folder):
    return {path: path.read_bytes() for path in folder.path.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("which", "overrides", "said"),
    [
        ("done", ["trainer.max_epochs=2"], "trainer.max_epochs=2: is fewer than the 3 epochs"),
        ("done", ["trainer.max_epochs=3", "trainer.precision=bf16-mixed"], "is done; .* above 3"),
        (
            "done",
            ["trainer.max_epochs=9", "trainer.max_steps=24"],
            r"done; .* give trainer.max_steps=N above 24",
        ),
        ("done", ["trainer.max_steps=24"], r"max_epochs=N above 3 and trainer.max_steps=N above 24"),
        (
            "done",
            ["trainer.max_epochs=3", "trainer.max_steps=99"],
            r"done; .* give trainer.max_epochs=N above 3",
        ),
        ("stopped", ["trainer.max_epochs=1"], "trainer.max_epochs=1: is fewer than the 2 epochs"),
        ("stopped", ["trainer.max_steps=9"], "trainer.max_steps=9: is fewer than the 10 steps"),
        (
            "stopped",
            ["trainer.devices=2", "trainer.strategy=ddp"],
            "trainer.devices=2: cannot resume in the middle of an epoch that 1 processes began",
        ),
        ("done", ["trainer.max_epoch=5"], r"no such key .*; did you mean trainer\.max_epochs\?"),
        ("done", ["nonsense"], "override=nonsense: must be KEY=VALUE"),
    ],
)
def test_overrides(which, overrides, said, run, monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    folder = run(which)
    before = contents(folder)
    with pytest.raises(BadInput, match=said):
        resume(folder.path, overrides=overrides)
    after = contents(folder)
    after.pop(folder.path / ".lock", None)
    before.pop(folder.path / ".lock", None)
    assert after == before


@pytest.mark.parametrize("overrides", [[], ["callbacks.projector.enabled=true"]], ids=str)
def test_a_done_run_is_only_ended_again(overrides, run):
    """As a cluster does that queues it again, and who wants what its end leaves."""
    folder = run("done")
    before = folder.read_json(folder.results)
    resume(folder.path, overrides=overrides)
    assert folder.is_done
    assert folder.read_json(folder.results) == before
    assert any(folder.path.rglob("projector_config.pbtxt")) == bool(overrides)


def test_a_done_run_that_lost_its_checkpoints_keeps_its_results(run):
    folder = run("done")
    shutil.rmtree(folder.checkpoints)
    with pytest.raises(BadInput, match="is done, and has lost its checkpoints"):
        resume(folder.path, overrides=["trainer.max_epochs=9"])
    assert folder.results.is_file()


def with_key(folder, key, value):
    cfg = yaml.safe_load(folder.config.read_text())
    *groups, last = key.split(".")
    inner = cfg
    for group in groups:
        inner = inner[group]
    inner[last] = value
    folder.config.write_text(yaml.safe_dump(cfg))


@pytest.mark.parametrize(
    ("key", "value", "was"),
    [
        ("optimizer.lr", 0.5, "0.001"),
        ("seed", 3, "0"),
        ("latent.dim", 5, "2"),
        ("data.batch_size", 10, "140"),
    ],
)
@pytest.mark.parametrize("which", ["done", "stopped"])
def test_a_config_that_was_changed(which, key, value, was, run, tmp_path):
    """What cannot be typed cannot be written into the folder's config either."""
    folder = run(which)
    with_key(folder, key, value)
    before = contents(folder)
    with pytest.raises(BadInput, match=f"{key}={value}: was {was} when the run was trained"):
        resume(folder.path, overrides=["trainer.max_epochs=5"])
    with pytest.raises(BadInput, match=f"{key}={value}: was {was} when the run was trained"):
        evaluate(folder.path)
    if which == "done":
        with pytest.raises(BadInput, match=f"{key}={value}: was {was} when the run was trained"):
            prepare(folder.path, to=tmp_path / "new")
    assert {path: content for path, content in contents(folder).items() if path in before} == before


def test_what_may_change_in_the_config(run):
    folder = run("stopped")
    with_key(folder, "callbacks.checkpoint.every_n_steps", 5)
    with_key(folder, "data.num_workers", 1)
    assert resume(folder.path).read_status()["status"] == "done"


def test_a_run_without_a_recorded_config_goes_on(run):
    """Checkpoints did not hold it from the beginning."""
    folder = run("stopped")
    path = folder.checkpoint("last")
    content = torch.load(path, weights_only=True)
    del content["config"]
    torch.save(content, path)
    assert resume(folder.path).read_status()["status"] == "done"


def surplus_cells(folder):
    header, *rows = folder.metrics.read_text().splitlines()
    folder.metrics.write_text("\n".join([header, "1," * 100, *rows, ""]))


def fewer_rows(folder):
    folder.metrics.write_text("\n".join(folder.metrics.read_text().splitlines()[:2]) + "\n")


def in_provenance(**changes):
    def damage(folder):
        folder.write_json(folder.provenance, {**json.loads(folder.provenance.read_text()), **changes})

    return damage


def in_checkpoint(**changes):
    def damage(folder):
        path = folder.checkpoint("last")
        torch.save({**torch.load(path, weights_only=True), **changes}, path)

    return damage


DAMAGE = {
    "surplus cells": (surplus_cells, r"metrics\.csv"),
    "fewer rows": (fewer_rows, r"metrics\.csv has 1 rows, but its checkpoint recorded"),
    "resumed": (in_provenance(resumed=5), r"provenance\.json is damaged"),
    "data": (in_provenance(data="x"), r"provenance\.json is damaged"),
    "fingerprint": (in_provenance(data={"fingerprint": 7}), "fingerprint of the data"),
    "callbacks": (in_checkpoint(callbacks=[1]), "does not tell how far"),
    "a callback": (in_checkpoint(callbacks={"Checkpoints": 1}), "does not tell how far"),
    "config": (in_checkpoint(config=1), "does not tell how far"),
    "no weights": (in_checkpoint(state_dict=3), "does not tell how far"),
    "other weights": (in_checkpoint(state_dict={"a": torch.zeros(2)}), "do not fit the model"),
    "no tensors": (in_checkpoint(state_dict={"a": "b"}), "do not fit the model"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage(name, run):
    damage, said = DAMAGE[name]
    folder = run("stopped")
    damage(folder)
    before = contents(folder)
    with pytest.raises(BadInput, match=said):
        resume(folder.path)
    assert {path: content for path, content in contents(folder).items() if path in before} == before


def test_a_kill_while_the_folder_is_made_ready(run, monkeypatch):
    """From the first change on the run says that it is going on, and so that it was killed."""
    folder = run("done")
    monkeypatch.setattr(reopening, "rewind", lambda folder, start: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        resume(folder.path, overrides=["trainer.max_epochs=5"])
    monkeypatch.undo()
    assert RunFolder(folder.path).read_status()["status"] == "killed"
    again = resume(folder.path)
    assert again.read_status()["status"] == "done"
    assert json.loads(again.results.read_text())["epoch"] == 3


def test_another_checkpoint_than_the_last_is_named(run, capsys):
    folder = run("stopped")
    folder.checkpoint("last").unlink()
    resume(folder.path)
    assert "last.ckpt is missing; best.ckpt takes its place" in capsys.readouterr().out


def damaged(path):
    """A bit of a weight is another."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("name", ["best", "last"])
def test_a_damaged_checkpoint_is_named_and_the_other_is_used(name, run, capsys):
    folder, other = run("done"), {"best": "last", "last": "best"}[name]
    damaged(folder.checkpoint(name))
    said = f"{name}.ckpt is damaged"
    results = evaluate(folder.path)
    assert (said in str(results["damaged"]), results["checkpoint"]) == (
        name == "best",
        "last" if name == "best" else "best",
    )
    with pytest.raises(BadInput, match=rf"{name}\.ckpt is damaged .*; try --checkpoint {other}"):
        evaluate(folder.path, checkpoint=name)
    resume(folder.path, overrides=["trainer.max_epochs=4"])
    assert re.search(rf"{said} .*; {other}\.ckpt takes its place", capsys.readouterr().out)
    assert folder.read_status()["status"] == "done"
    assert evaluate(folder.path)["damaged"] is None


def test_both_damaged_checkpoints_are_named(run):
    folder = run("done")
    for name in ("best", "last"):
        damaged(folder.checkpoint(name))
    with pytest.raises(BadInput, match=r"best\.ckpt is damaged .*; last\.ckpt is damaged [^;]*$"):
        evaluate(folder.path)


def test_the_best_is_damaged_when_only_the_end_is_left(run):
    folder = run("done")
    damaged(folder.checkpoint("best"))
    folder.write_status("killed")
    resume(folder.path)
    assert (
        folder.read_json(folder.results)["step"] == read_checkpoint(folder.checkpoint("last"))["global_step"]
    )
    assert folder.checkpoint("best").read_bytes() == folder.checkpoint("last").read_bytes()


def test_the_best_of_one_metric_is_not_that_of_another(run):
    """The first epoch by another metric is better than none."""
    folder = run("done")
    best = torch.load(folder.checkpoint("best"), weights_only=True)
    best["callbacks"]["Checkpoints"]["best"] = -1.0  # nothing is better
    torch.save(best, folder.checkpoint("last"))
    resume(folder.path, overrides=["trainer.max_epochs=4"])
    assert torch.load(folder.checkpoint("best"), weights_only=True)["epoch"] == best["epoch"]
    resume(folder.path, overrides=["trainer.max_epochs=5", "callbacks.checkpoint.monitor=val/mse"])
    assert torch.load(folder.checkpoint("best"), weights_only=True)["epoch"] == 4


def test_early_stopping_by_a_training_metric_where_validation_is_rare(tmp_path):
    stops = ("enabled=true", "monitor=train/loss", "patience=1", "min_delta=1000")
    cfg = compose(
        [*SMALL, "trainer.check_val_every_n_epoch=2", *(f"callbacks.early_stopping.{key}" for key in stops)]
    )
    cfg.trainer.max_epochs = 10
    assert train(cfg, tmp_path / "run").read_status()["epoch"] == 2


def test_the_patience_that_is_typed_counts_from_now_on(tmp_path):
    stops = ("enabled=true", "patience=1", "min_delta=1000")
    cfg = compose([*SMALL, *(f"callbacks.early_stopping.{key}" for key in stops)])
    assert train(cfg, tmp_path / "run").read_status()["epoch"] == 2
    again = resume(
        tmp_path / "run", overrides=["trainer.max_epochs=9", "callbacks.early_stopping.patience=4"]
    )
    assert again.read_status()["epoch"] == 5


def test_what_is_resumed_in_a_copy_of_links_stays_what_it_is(run):
    """`cp -al` and backups share the files of both folders."""
    stopped = run("stopped")
    for path in stopped.path.glob("events.*"):
        with path.open("ab") as file:
            file.write(b"written after the checkpoint")
    before = contents(stopped)
    copy = shutil.copytree(
        stopped.path,
        stopped.path.with_name("copy"),
        copy_function=lambda source, place: os.link(source, place),
    )
    assert resume(copy).is_done
    assert {path: content for path, content in contents(stopped).items() if path.name != ".lock"} == {
        path: content for path, content in before.items() if path.name != ".lock"
    }
