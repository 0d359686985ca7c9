"""Epochs and steps count from 1 in all that a run writes and prints, and tested weights have their own."""

from __future__ import annotations

import csv
import json

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

# the first epoch has the largest loss
FIRST_IS_BEST = (
    *("callbacks.checkpoint.monitor=val/loss", "callbacks.checkpoint.mode=max"),
    "callbacks.figures.summary=false",
)
STEPS = 40  # of an epoch of the digits


@pytest.fixture(scope="module")
def trained(tmp_path_factory, starting, ending):
    place = tmp_path_factory.mktemp("counts")
    ended = ending(starting("train", *FIRST_IS_BEST, "trainer.max_epochs=3", "hydra.run.dir=run", cwd=place))
    assert ended.returncode == 0, ended.stderr
    return place / "run", ended.stdout


def logged(run, metric):
    """Epoch and step of each row of metrics.csv that has a metric."""
    with (run / "metrics.csv").open(newline="") as file:
        return [(int(row["epoch"]), int(row["step"])) for row in csv.DictReader(file) if row[metric]]


def test_metrics_csv(trained):
    run, _ = trained
    for metric in ("train/loss", "val/loss"):
        assert logged(run, metric) == [(epoch, epoch * STEPS) for epoch in (1, 2, 3)]
    assert logged(run, "train/loss_step") == [(2, 50), (3, 100)]
    assert logged(run, "test/loss") == [(1, STEPS)]


def test_tensorboard(trained):
    run, _ = trained
    steps = []
    for path in run.glob("events.out.tfevents.*"):
        events = EventAccumulator(str(path))
        events.Reload()
        if "test/loss" in events.Tags()["scalars"]:
            steps += [event.step for event in events.Scalars("test/loss")]
    assert steps == [STEPS]


def test_results_and_the_console(trained):
    run, printed = trained
    results = json.loads((run / "results.json").read_text())
    assert (results["epoch"], results["step"]) == (1, STEPS)
    assert f"best checkpoint: epoch 1, step {STEPS}" in printed
    assert "epoch 1/3" in printed
    assert "epoch 3/3" in printed
    assert "epoch 0" not in printed


def test_the_bar(starting, ending, tmp_path):
    ended = ending(
        starting(
            "train", "trainer.max_epochs=2", "trainer.progress_bar=true", "hydra.run.dir=run", cwd=tmp_path
        )
    )
    assert ended.returncode == 0, ended.stderr
    printed = ended.stdout + ended.stderr
    assert "Epoch 1/2:" in printed
    assert "Epoch 2/2:" in printed
    assert "Epoch 0" not in printed
