"""Trained runs of each kind of data, trained once for all tests of what a model is for."""

from __future__ import annotations

import csv
import datetime
import os
import random
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import isthmus
from isthmus.cli.main import main
from isthmus.runs.config.compose import compose
from isthmus.runs.train import train
from isthmus.tasks.trained_model import TrainedModel

SHORT = [
    "logger=csv",
    "trainer.max_epochs=2",
    "trainer.progress_bar=none",
    "trainer.accelerator=cpu",
    "callbacks.figures.summary=false",
]


def write_visits(path: Path, *, rows: int = 300, seed: int = 0) -> Path:
    """A table with text, dates, numbers that float32 would round, and true/false."""
    draw = random.Random(seed)
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["patient", "site", "day", "size", "smoker", "group"])
        for row in range(rows):
            day = datetime.date(2024, 1, 1) + datetime.timedelta(days=draw.randrange(300))
            size = round(1e6 + draw.gauss(0, 1), 3)
            smoker = draw.choice(["true", "false"])
            table.writerow([f"p{row}", draw.choice("abc"), day, size, smoker, draw.choice(["ill", "well"])])
    return path


VISITS = ["data=table", "data.label=group", "data.id=patient", "data.dates=number", "loss=mixed"]

KINDS: dict[str, Callable[[Path], list[str]]] = {
    "digits": lambda place: [],
    "photos": lambda place: [
        *("data=images", "data.path=example:photos", "data.size=24", "architecture=conv", "model=vae"),
        *("loss=bce", "latent.dim=6", "architecture.channels=[4,8]"),
    ],
    "patches": lambda place: ["data=arrays", "data.path=example:patches.npy", "data.val_size=500"],
    "scaled": lambda place: [
        *("data=arrays", f"data.path={_array(place)}", "data.scaling=standardize", "latent.dim=2"),
    ],
    "cancer": lambda place: [
        *("data=table", "data.path=example:breast_cancer.csv", "data.label=diagnosis", "latent.dim=3"),
    ],
    "visits": lambda place: [*VISITS, f"data.path={write_visits(place / 'visits.csv')}", "latent.dim=2"],
}


def _array(place: Path) -> Path:
    np.save(place / "scaled.npy", np.random.default_rng(0).normal(50, 10, (400, 5)))
    return place / "scaled.npy"


@pytest.fixture(scope="session")
def run_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a run of one of `KINDS`."""
    base = tmp_path_factory.mktemp("tasks")
    folder = tmp_path_factory.getbasetemp() / "cache"

    def made(kind: str) -> Path:
        path = base / kind
        if not path.exists():
            before = os.environ.get("XDG_CACHE_HOME")
            os.environ["XDG_CACHE_HOME"] = str(folder)
            try:
                train(compose([*SHORT, *KINDS[kind](base)]), path)
            finally:
                if before is None:
                    del os.environ["XDG_CACHE_HOME"]
                else:
                    os.environ["XDG_CACHE_HOME"] = before
        return path

    return made


@pytest.fixture
def model_of(run_of: Callable[[str], Path], cache: Path) -> Callable[[str], TrainedModel]:
    """The trained model of one of `KINDS`, on the CPU."""
    return lambda kind: isthmus.load(run_of(kind), device="cpu")


@pytest.fixture
def here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], cache: Path
) -> Callable[..., tuple[int, str, str]]:
    """Run a command in `tmp_path`: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["isthmus"])

    def run(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main([str(each) for each in arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run
