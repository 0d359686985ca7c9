"""Nobody has to read what a command prints."""

from __future__ import annotations

import json
import signal

import pytest

SMALL = (
    *("architecture.hidden=[8]", "latent.dim=2", "trainer=cpu", "trainer.threads=1"),
    *("callbacks.figures.enabled=false", "callbacks.projector.enabled=false", "hydra.run.dir=run"),
)


def status_of(folder):
    return json.loads((folder / "status.json").read_text())["status"]


def test_training_goes_on_without_its_reader(starting, tmp_path):
    process = starting("train", "trainer.max_epochs=30", *SMALL, cwd=tmp_path)
    assert process.stdout.readline().startswith("epoch 1/30")
    process.stdout.close()
    process.stderr.close()
    assert process.wait(240) == 0
    assert status_of(tmp_path / "run") == "done"


@pytest.mark.slow
def test_it_stops_without_its_reader(starting, tmp_path):
    process = starting("train", "trainer.max_epochs=3000", *SMALL, cwd=tmp_path)
    process.stdout.readline()
    process.stdout.close()
    process.stderr.close()
    process.send_signal(signal.SIGINT)
    assert process.wait(240) == 130
    assert status_of(tmp_path / "run") == "stopped"


@pytest.mark.slow
def test_a_failure_is_told_by_the_exit_code(starting, tmp_path):
    process = starting("train", "optimizer=sgd", "optimizer.lr=1e9", *SMALL, cwd=tmp_path)
    process.stdout.close()
    process.stderr.close()
    assert process.wait(240) == 1
    assert status_of(tmp_path / "run") == "failed"
    told = json.loads((tmp_path / "run" / "status.json").read_text())
    assert f"at step {told['step']};" in told["error"]


@pytest.mark.parametrize("arguments", [["--help"], ["show", "nothing"], ["train", "--help"]])
def test_commands_that_only_print(arguments, starting, tmp_path):
    """With nobody there from the beginning, they end as they would."""
    process = starting(*arguments, cwd=tmp_path)
    process.stdout.close()
    process.stderr.close()
    assert process.wait(60) == (2 if "nothing" in arguments else 0)
