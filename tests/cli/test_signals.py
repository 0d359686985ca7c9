"""A signal while a command starts: one line, the exit code of the signal, and no empty folder."""

from __future__ import annotations

import signal
import time

import pytest

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
