"""Event files lie in the folder of their run, whatever it is called, and TensorBoard reads them in order."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from isthmus.training.loggers import EventFiles, event_files
from isthmus.training.writers.event_writer import EventWriter

RUN = (
    *("data=digits", "architecture.hidden=[8]", "trainer=cpu", "trainer.threads=1"),
    *("trainer.progress_bar=none", "callbacks.latents.enabled=false", "callbacks.figures.enabled=false"),
)
LOGGED = "val/loss"


def curve(reader, tag=LOGGED):
    reader.Reload()
    return [event.step for event in reader.Scalars(tag)]


@pytest.fixture
def parent(here, tmp_path, monkeypatch):
    """A working folder with names that are variables, or the person's home, elsewhere."""
    for name in ("HOME", "X", "b"):
        (tmp_path / "elsewhere" / name).mkdir(parents=True)
        monkeypatch.setenv(name, str(tmp_path / "elsewhere" / name))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "working").mkdir()
    monkeypatch.chdir(tmp_path / "working")
    return tmp_path


@pytest.mark.parametrize("name", ["$HOME", "~", "${X}", "a$b"])
def test_a_folder_is_what_it_is_called(name, here, parent, monkeypatch):
    working = Path(name)
    working.mkdir(parents=True)
    monkeypatch.chdir(working)
    said = here("train", *RUN, "trainer.max_epochs=1", "hydra.run.dir=$HOME")
    assert said.code == 0, said.err
    run = Path("$HOME")
    assert event_files(run)
    assert (run / "projector" / "codes" / "metadata.tsv").is_file()
    (steps,) = {tuple(curve(EventAccumulator(str(run))))}
    said = here("resume", "$HOME", "trainer.max_epochs=2")
    assert said.code == 0, said.err
    assert curve(EventAccumulator(str(run))) == [steps[0], 2 * steps[0]]
    left = [file for _, _, files in os.walk(parent / "elsewhere") for file in files]
    assert left == []


def test_a_relative_folder_is_what_it_is_called(parent):
    Path("~").mkdir()
    logger = EventFiles(Path("~"))
    logger.log_metrics({LOGGED: 1.0}, step=1)
    assert logger.mark() == {path.name: path.stat().st_size for path in event_files(Path("~"))}
    assert event_files(Path("~"))


@pytest.fixture
def clock(monkeypatch):
    """Set the clock forward or back by seconds."""
    right = time.time

    def set_(seconds):
        monkeypatch.setattr(time, "time", lambda: right() + seconds)

    return set_


def test_a_clock_that_was_set_back(here, parent, clock):
    assert here("train", *RUN, "trainer.max_epochs=2", "hydra.run.dir=run").code == 0
    length = curve(EventAccumulator("run"))[0]
    for epochs, seconds in ((3, -3600), (4, -3600), (5, 0)):
        clock(seconds)
        said = here("resume", "run", f"trainer.max_epochs={epochs}")
        assert said.code == 0, said.err
        assert curve(EventAccumulator("run")) == [step * length for step in range(1, epochs + 1)]


def test_a_board_that_is_open_while_the_clock_is_set_back(tmp_path, clock):
    board = EventAccumulator(str(tmp_path))
    for seconds, resumed_at in ((0, None), (-3600, 4), (-3600, 6), (0, 9)):
        clock(seconds)
        logger = EventFiles(tmp_path, resumed_at=resumed_at)
        for step in range((resumed_at or 0) + 1, (resumed_at or 0) + 6):
            logger.log_metrics({LOGGED: 1.0}, step=step)
        logger.mark()
        assert curve(board) == list(range(1, step + 1))
    assert curve(EventAccumulator(str(tmp_path))) == list(range(1, 15))


def test_each_file_sorts_last(tmp_path, clock):
    writer = EventWriter(tmp_path)
    for number, seconds in enumerate((0, -9e5, 9e5, *[0] * 12)):
        clock(seconds)
        writer.add_scalar(LOGGED, 0.0, number)
        writer.close()
    assert curve(EventAccumulator(str(tmp_path))) == list(range(15))
    (tmp_path / "events.out.tfevents.9999999999.a.1.0").touch()
    (tmp_path / "events.out.tfevents.not-a-time").touch()
    EventWriter(tmp_path).close()
    assert len(event_files(tmp_path)) == 18


def test_the_time_of_what_is_logged_is_the_clocks(tmp_path, clock):
    (tmp_path / "events.out.tfevents.9000000000.a.1.0").touch()
    writer = EventWriter(tmp_path)
    writer.add_scalar(LOGGED, 0.0, 1)
    writer.close()
    reader = EventAccumulator(str(tmp_path)).Reload()
    assert abs(reader.Scalars(LOGGED)[0].wall_time - time.time()) < 60
    assert abs(reader.FirstEventTimestamp() - time.time()) < 60
