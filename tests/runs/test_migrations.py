"""Run folders of every format there was are kept in tests/fixtures, and stay readable."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pytest
import torch

from isthmus.common.errors import BadInput
from isthmus.runs.config.validation import check
from isthmus.runs.evaluate import evaluate
from isthmus.runs.folder.migrations import FORMAT, RESUMABLE
from isthmus.runs.folder.run_folder import RunFolder
from isthmus.runs.resume import resume

FIXTURES = sorted(Path(__file__).parents[1].glob("fixtures/run_v*"))


@pytest.fixture(params=FIXTURES, ids=lambda path: path.name)
def folder(request, tmp_path):
    """A copy of a folder, since reading one must not change what is kept."""
    return RunFolder.open(shutil.copytree(request.param, tmp_path / "run"))


def test_there_is_one_of_every_format():
    assert [RunFolder(path).format for path in FIXTURES] == list(range(1, FORMAT + 1))


def test_its_config_is_one_of_today(folder):
    check(folder.read_config())


def test_it_is_tested_again_with_the_same_result(folder):
    results = folder.read_json(folder.results)
    now = evaluate(folder.path)
    tested = {name: value for name, value in results.items() if name in now and name.startswith("test/")}
    assert len(tested) > 5
    # another machine rounds differently
    assert {name: now[name] for name in tested} == pytest.approx(tested, rel=1e-4, abs=1e-5)
    assert now["same_data"]
    assert (now["epoch"], now["step"]) == (results["epoch"], results["step"])


@pytest.mark.parametrize("command", [("show", "run"), ("evaluate", "run", "--checkpoint", "last")])
def test_commands(command, folder, here):
    said = here(*command)
    assert said.code == 0, said.err
    assert "mse" in said.out


def test_it_trains_further_if_its_format_can(folder):
    torch.set_num_threads(1)
    epochs = folder.read_config().trainer.max_epochs
    further = [f"trainer.max_epochs={epochs + 1}", "trainer.progress_bar=none"]
    if folder.format < RESUMABLE:
        with pytest.raises(
            BadInput, match=f"has format {folder.format}, whose checkpoints cannot be resumed"
        ):
            resume(folder.path, overrides=further)
        return
    resume(folder.path, overrides=further)
    assert folder.read_status()["epoch"] == epochs + 1
    with folder.metrics.open(newline="") as file:
        trained = [row["epoch"] for row in csv.DictReader(file) if row["train/loss"]]
    assert [float(epoch) for epoch in trained] == list(range(1, epochs + 2))
