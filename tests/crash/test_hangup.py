"""A terminal that closes stops a run as Ctrl+C does."""

from __future__ import annotations

import signal
import time

import yaml

TYPED = ("trainer=cpu", "trainer.threads=1", "trainer.max_epochs=100000", "trainer.progress_bar=none")


def test_a_terminal_that_closes(starting, ending, tmp_path, isthmus):
    """It ends with a checkpoint, from which the run resumes."""
    process = starting("train", *TYPED, "hydra.run.dir=run", cwd=tmp_path)
    checkpoint = tmp_path / "run" / "checkpoints" / "last.ckpt"
    while not checkpoint.is_file() and process.poll() is None:
        time.sleep(0.1)
    process.send_signal(signal.SIGHUP)
    ended = ending(process)
    assert ended.returncode == 129
    assert "isthmus: stopped; to go on: isthmus resume run" in ended.stderr
    status = yaml.safe_load((tmp_path / "run" / "status.json").read_text())
    assert (status["status"], status["signal"]) == ("stopped", signal.SIGHUP)
    done = isthmus("resume", "run", f"trainer.max_epochs={status['epoch'] + 2}")
    assert done.returncode == 0, done.stderr
