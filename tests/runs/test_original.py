"""A reproduction that was killed, and is resumed or begun again, ends with the verdict all the same."""

from __future__ import annotations

import errno
import json
import shutil
import signal
from pathlib import Path

import pytest

from isthmus.cli.main import main
from isthmus.runs.folder.run_folder import RunFolder
from isthmus.training.module import AutoencoderModule

from .reproducing import edit, inside

QUICK = (
    *("latent.dim=2", "architecture.hidden=[8]", "trainer.max_epochs=2", "trainer.threads=1", "logger=csv"),
    *(f"callbacks.{name}.enabled=false" for name in ("latents", "figures", "projector")),
    *("callbacks.checkpoint.every_n_steps=4", "trainer.steps_per_execution=1"),
)


@pytest.fixture(autouse=True)
def _here(tmp_path):
    with inside(tmp_path):
        yield


@pytest.fixture
def said(capsys):
    """Run a command here: its exit code and what it printed."""

    def run(*arguments):
        capsys.readouterr()
        code = main(arguments)
        printed = capsys.readouterr()
        return code, printed.out + printed.err

    return run


@pytest.fixture
def stopped(original, said, monkeypatch):
    """A reproduction of `original` in `again` that a signal stopped in its second epoch."""

    def interrupt():
        took = AutoencoderModule.on_train_epoch_start

        def epoch(module):
            if module.trainer.current_epoch == 1:
                signal.raise_signal(signal.SIGTERM)
            return took(module)

        with monkeypatch.context() as patch:
            patch.setattr(AutoencoderModule, "on_train_epoch_start", epoch)
            code, printed = said("reproduce", "run", "--to", "again")
        assert code == 143, printed
        return RunFolder(Path("again").resolve())

    return interrupt


def test_a_killed_reproduction_is_compared_when_it_is_resumed(isthmus, starting, original, tmp_path):
    process = starting("reproduce", "run", "--to", "again", cwd=tmp_path)
    for line in process.stdout:
        if line.startswith("epoch 1/2"):
            process.kill()
            break
    process.communicate()
    again = RunFolder(tmp_path / "again")
    assert not again.is_done
    assert not again.reproduction.exists()
    ended = isthmus("resume", "again")
    assert ended.returncode == 0, ended.stderr
    assert "identical: the same bits" in ended.stdout
    found = json.loads(again.reproduction.read_text())
    assert (found["verdict"], found["original"]) == ("identical", str(original.path))


def test_one_that_is_different_has_the_exit_code_of_reproduce(stopped, original, said):
    recorded = json.loads(original.results.read_text())
    original.results.write_text(json.dumps({**recorded, "test/mse": 0.5}))
    again = stopped()
    code, printed = said("resume", "again")
    assert (code, "different: the metric that differs most" in printed) == (3, True)
    assert json.loads(again.reproduction.read_text())["verdict"] == "different"


def test_one_that_was_killed_while_it_was_compared(stopped, said):
    again = stopped()
    said("resume", "again")
    again.reproduction.unlink()
    code, printed = said("resume", "again")
    assert (code, "identical: " in printed) == (0, True)
    assert again.reproduction.exists()
    assert "identical: " not in said("resume", "again")[1], "it was compared already"


def test_a_verdict_that_cannot_be_written_is_said_and_can_be_had_again(original, said, monkeypatch):
    write = RunFolder.write_json

    def full(path, content):
        if path.name == "reproduction.json":
            raise OSError(errno.ENOSPC, "No space left on device")
        write(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "write_json", staticmethod(full))
        code, printed = said("reproduce", "run", "--to", "again")
        assert (code, printed.splitlines()[-1]) == (
            2,
            "isthmus: RUN=again/reproduction.json: cannot be written (No space left on device); "
            "to compare once more: isthmus resume again",
        )
        code, printed = said("resume", "again")
        assert (code, "again/reproduction.json: cannot be written (No space" in printed) == (0, True)
    code, printed = said("resume", "again")
    assert (code, "identical: " in printed) == (0, True)


def test_one_that_is_trained_further_is_compared_anew_and_not_judged(stopped, said):
    again = stopped()
    said("resume", "again")
    code, printed = said("resume", "again", "trainer.max_epochs=3")
    assert (code, "trainer.max_epochs: 2 -> 3" in printed) == (0, True), printed
    assert json.loads(again.reproduction.read_text())["verdict"] == "not judged"


def test_the_tolerance_that_was_typed_counts_after_resuming(original, said):
    assert said("reproduce", "run", "--to", "again", "--tolerance", "0.5")[0] == 0
    Path("again/reproduction.json").unlink()
    assert said("resume", "again")[0] == 0
    assert json.loads(Path("again/reproduction.json").read_text())["tolerance"] == 0.5


def remove(original, again):
    shutil.rmtree(original.path)


def train_further(original, again):
    assert main(["resume", "run", "trainer.max_epochs=3"]) == 0


def name_a_relative_path(original, again):
    edit(again.provenance, lambda recorded: recorded["reproduces"].update(run="run"))


def name_another_run(original, again):
    other = shutil.copytree(original.path, original.path.with_name("other"))
    edit(other / "results.json", lambda results: results.update({"test/mse": 0.5}))
    edit(again.provenance, lambda recorded: recorded["reproduces"].update(run=str(other)))


def name_nonsense(original, again):
    edit(again.provenance, lambda recorded: recorded.update(reproduces=[1, "\0"]))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (remove, "is no longer there"),
        (train_further, "is not the original any more"),
        (name_a_relative_path, "does not name an original"),
        (name_another_run, "is not the original any more"),
        (name_nonsense, "does not name an original"),
    ],
)
def test_what_cannot_be_compared_is_said_and_training_ends_well(change, why, stopped, original, said):
    again = stopped()
    change(original, again)
    code, printed = said("resume", "again")
    assert code == 0, printed
    (line,) = [line for line in printed.splitlines() if line.startswith("not compared")]
    assert why in line
    assert again.is_done
    assert not again.reproduction.exists()


def test_nothing_is_written_to_the_original(stopped, original, said):
    before = {path: path.read_bytes() for path in original.path.rglob("*") if path.is_file()}
    stopped()
    said("resume", "again")
    assert {path: path.read_bytes() for path in original.path.rglob("*") if path.is_file()} == before


def test_the_same_command_again_is_refused_and_says_how_to_go_on(stopped, said):
    stopped()
    code, printed = said("reproduce", "run", "--to", "again")
    assert code == 2
    assert printed.startswith("isthmus: --to=again: is not empty, and nothing is overwritten; ")
    assert printed.endswith("to resume the run in it: isthmus resume again\n")


def test_the_same_command_in_a_slurm_job_that_is_queued_again_goes_on(stopped, said, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "4711")
    again = stopped()
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    code, printed = said("reproduce", "run", "--to", "again")
    assert (code, "identical: " in printed) == (0, True), printed
    assert "resuming at epoch 2" in printed
    assert again.reproduction.exists()


def test_the_folder_of_one_that_was_killed_before_it_began_is_used_again(original, said):
    with RunFolder.create(Path("again")).held():
        pass
    assert said("reproduce", "run", "--to", "again")[0] == 0
