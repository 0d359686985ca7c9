"""A signal before training: one line, the exit code of the signal, and no empty folder."""

from __future__ import annotations

import json
import signal
import time

import pytest

from isthmus.runs.errors import Stopped, interruption_behind

TYPED = ("trainer=cpu", "trainer.threads=1", "trainer.max_epochs=100000", "trainer.progress_bar=none")


@pytest.mark.parametrize("seconds", [1.0, 2.0, 3.5])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
@pytest.mark.slow
def test_a_signal_while_a_command_starts(number, seconds, starting, ending, tmp_path):
    process = starting("train", *TYPED, cwd=tmp_path)
    time.sleep(seconds)
    process.send_signal(number)
    ended = ending(process)
    assert ended.returncode == 128 + number, ended.stderr
    assert "Traceback" not in ended.stderr
    runs = list(tmp_path.glob("outputs/*/*"))
    assert all((run / "config.yaml").is_file() for run in runs)
    assert all(not any(run.glob(".*.part")) for run in runs)


def broken(*arguments, **keywords):
    """Third-party code that a signal interrupts, and whose cleanup then fails, as OmegaConf's can."""
    try:
        try:
            raise Stopped(signal.SIGTERM)
        finally:
            None.clean_up()
    except AttributeError as error:
        raise TypeError("of another type") from error


@pytest.mark.parametrize(
    ("place", "leaves"),
    [
        ("isthmus.runs.train.provenance", []),
        ("isthmus.runs.execution.launch.build", []),
        ("isthmus.runs.execution.fit._trainer", ["0"]),
    ],
)
@pytest.mark.parametrize("jobs", [["seed=0"], ["--multirun", "seed=0,1"]], ids=["run", "sweep"])
def test_an_error_that_a_signal_caused_is_a_stop(place, leaves, jobs, here, tmp_path, monkeypatch):
    monkeypatch.setattr(place, broken)
    typed = (*TYPED[:2], "trainer.max_epochs=1", "hydra.run.dir=runs/0", "hydra.sweep.dir=runs")
    said = here("train", *typed, *jobs)
    assert said.code == 128 + signal.SIGTERM
    assert said.err.splitlines()[-1].startswith("isthmus: stopped")
    assert "Traceback" not in said.err
    runs = {run.parent.name: json.loads(run.read_text()) for run in tmp_path.glob("runs/*/status.json")}
    assert list(runs) == leaves
    assert all(run["status"] == "stopped" for run in runs.values())


def test_a_signal_in_a_renamed_folder_says_where_it_is_now(here, tmp_path, monkeypatch):
    def rename(*arguments, **keywords):
        (tmp_path / "run").rename(tmp_path / "renamed")
        raise Stopped(signal.SIGTERM)

    monkeypatch.setattr("isthmus.runs.execution.fit._trainer", rename)
    said = here("train", *TYPED[:2], "trainer.max_epochs=1", "hydra.run.dir=run")
    assert said.code == 1
    assert said.err.splitlines()[-1].endswith("is in renamed now; to resume: isthmus resume renamed")


def test_an_interruption_is_found_behind_what_it_caused():
    stop = Stopped(signal.SIGINT)
    assert interruption_behind(stop) is stop
    assert interruption_behind(ValueError()) is None
    with pytest.raises(TypeError) as error:
        broken()
    assert isinstance(interruption_behind(error.value), Stopped)
    with pytest.raises(KeyError) as error:
        raise KeyError from TypeError()
    assert interruption_behind(error.value) is None
    one, other = ValueError(), ValueError()
    one.__cause__, other.__cause__ = other, one
    assert interruption_behind(one) is None
