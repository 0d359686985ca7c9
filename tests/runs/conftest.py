"""Runs to tamper with, to interrupt and to compare with."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

import pytest
from tensorboard.summary.writer import event_file_writer

from isthmus.cli.main import main
from isthmus.runs.config.compose import compose
from isthmus.runs.folder.run_folder import RunFolder
from isthmus.runs.train import train
from isthmus.training.callbacks.checkpoints import Checkpoints

from .reproducing import inside
from .resuming import CONFIGS, SMALL


@pytest.fixture(scope="module")
def trained(request, tmp_path_factory):
    """A run of what the test file calls QUICK; tests copy it."""
    place = tmp_path_factory.mktemp("trained")
    with inside(place):
        assert main(["train", *request.module.QUICK, "hydra.run.dir=run"]) == 0
    return place / "run"


@pytest.fixture
def original(trained: Path, tmp_path: Path) -> RunFolder:
    """A copy, called `run`, of the run that `trained` gives."""
    return RunFolder(Path(shutil.copytree(trained, tmp_path / "run")))


@pytest.fixture(scope="module")
def _event_files_in_order():
    """TensorBoard reads event files in the order of their names, in which 10 comes before 9: of one second
    and one process, which only tests do, they have to have numbers of the same length.
    """
    event_file_writer._global_uid = event_file_writer.AtomicCounter(1000)


@pytest.fixture(scope="module")
def reference(tmp_path_factory, _event_files_in_order):
    """An uninterrupted run of a config, trained once."""
    base = tmp_path_factory.mktemp("references")

    def trained(name):
        path = base / name.replace(" ", "_")
        if not path.exists():
            train(compose([*SMALL, *CONFIGS[name]]), path)
        return path

    return trained


@pytest.fixture
def stopping(monkeypatch):
    """Ask training to stop, once: after so many steps, or in the first batch of another stage."""

    def arrange(*, after=None, during="train"):
        agreed = Checkpoints._agreed

        def asked(self, trainer):
            here = after is None or trainer.global_step == after
            if here and trainer.state.stage.value == during:
                monkeypatch.setattr(Checkpoints, "_agreed", agreed)
                return signal.SIGTERM, False
            return agreed(self, trainer)

        monkeypatch.setattr(Checkpoints, "_agreed", asked)

    return arrange
