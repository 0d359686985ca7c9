"""A terminal that closes stops a run as Ctrl+C does, and under nohup it does not."""

from __future__ import annotations

import os
import shutil
import signal
import time

import pytest
import yaml

from ..conftest import SCRIPTS

TYPED = ("trainer.threads=1", "trainer.max_epochs=100000", "trainer.progress_bar=none", "hydra.run.dir=run")
TRAINERS = ["cpu", pytest.param("ddp_cpu", marks=pytest.mark.slow)]


@pytest.fixture
def hang_up(tmp_path, starting):
    """Starts a run, waits for its first checkpoint, and sends SIGHUP to all of its processes."""

    def started(trainer, *before):
        program, *rest = [*before, str(SCRIPTS / "isthmus")]
        process = starting(*rest, "train", f"trainer={trainer}", *TYPED, cwd=tmp_path, program=program)
        while not (tmp_path / "run" / "checkpoints" / "last.ckpt").is_file():
            assert process.poll() is None, process.communicate()
            time.sleep(0.1)
        os.killpg(process.pid, signal.SIGHUP)
        return process

    return started


def status_of(place):
    return yaml.safe_load((place / "run" / "status.json").read_text())


@pytest.mark.parametrize("trainer", TRAINERS)
def test_a_terminal_that_closes(trainer, hang_up, ending, tmp_path, isthmus):
    """It ends with a checkpoint, from which the run resumes."""
    ended = ending(hang_up(trainer))
    assert ended.returncode == 129
    assert ended.stderr == "isthmus: stopped; to resume: isthmus resume run\n"
    status = status_of(tmp_path)
    assert (status["status"], status["signal"]) == ("stopped", signal.SIGHUP)
    done = isthmus("resume", "run", f"trainer.max_epochs={status['epoch'] + 2}")
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("nohup") is None, reason="nohup is not on this machine")
@pytest.mark.parametrize("trainer", TRAINERS)
def test_under_nohup_it_trains_on(trainer, hang_up, ending, tmp_path):
    process = hang_up(trainer, shutil.which("nohup"))
    metrics = tmp_path / "run" / "metrics.csv"
    at_signal = metrics.read_text()
    time.sleep(3)
    assert process.poll() is None
    assert len(metrics.read_text()) > len(at_signal)
    process.terminate()
    ended = ending(process)
    assert ended.returncode == 128 + signal.SIGTERM, ended.stderr
    assert status_of(tmp_path)["signal"] == signal.SIGTERM
