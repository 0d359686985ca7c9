"""Runs without codes, figures and projector: what is looked at here is the training itself."""

from __future__ import annotations

import csv

import pytest
import torch

from isthmus.runs.config.compose import compose
from isthmus.runs.train import train


@pytest.fixture(autouse=True)
def _one_thread():
    """Tests run beside each other, and a sum over several threads has another order."""
    torch.set_num_threads(1)


@pytest.fixture
def bare():
    """Compose a config as `isthmus train OVERRIDES` would, for a run of metrics and checkpoints alone."""

    def short(*overrides):
        off = (f"callbacks.{name}.enabled=false" for name in ("latents", "figures", "projector"))
        quiet = ("trainer=cpu", "trainer.threads=1", "trainer.progress_bar=none")
        return compose(["logger=csv", *off, *overrides, *quiet])

    return short


@pytest.fixture
def rows(bare, tmp_path):
    """Train, and give metrics.csv back: one dict per row, of numbers, without what a row does not have."""

    def trained(*overrides, folder="run"):
        run = train(bare(*overrides), tmp_path / folder)
        with run.metrics.open(encoding="utf-8") as file:
            return [
                {name: float(value) for name, value in row.items() if value} for row in csv.DictReader(file)
            ]

    return trained
