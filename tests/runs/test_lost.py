"""The run folder is removed, renamed or replaced while a run is trained in it."""

from __future__ import annotations

import contextlib
import shutil
import time

import pytest

from isthmus.runs.folder.run_folder import RunFolder
from isthmus.training.module import AutoencoderModule

LONG = (
    *("trainer=cpu", "trainer.threads=1", "trainer.max_epochs=100000", "architecture.hidden=[8]"),
    *("callbacks.checkpoint.every_n_epochs=1", "hydra.run.dir=run"),
)
GONE = "removed or replaced during training; train it again"
RENAMED = "renamed during training, and is in renamed now; to resume: isthmus resume renamed"


def remove(run):
    while run.exists():  # a file may come while it is being removed
        shutil.rmtree(run, ignore_errors=True)


def rename(run):
    run.rename(run.with_name("renamed"))


def replace(run):
    rename(run)
    run.mkdir()


def replace_by_a_copy(run):
    with contextlib.suppress(shutil.Error):  # of a file that was renamed in the meantime
        shutil.copytree(run, run.with_name("copy"))
    rename(run)
    run.with_name("copy").rename(run)


def content(folder):
    return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


WAYS = [remove, rename, replace, replace_by_a_copy]


@pytest.fixture
def losing(here, monkeypatch, tmp_path):
    """Train in this process until the run folder is lost; what is said, and what was there after the loss."""

    def train(lose):
        found, begin = [], AutoencoderModule.on_train_epoch_start

        def epoch(module):
            if not found and (tmp_path / "run" / "checkpoints" / "last.ckpt").exists():
                lose(tmp_path / "run")
                found.append(content(tmp_path / "run"))
            return begin(module)

        monkeypatch.setattr(AutoencoderModule, "on_train_epoch_start", epoch)
        return here("train", *LONG), *found

    return train


@pytest.mark.parametrize("lose", WAYS)
def test_training_ends_at_the_next_write(lose, losing, tmp_path):
    ended, after = losing(lose)
    check_ended(lose, ended.code, ended.err, tmp_path)
    assert content(tmp_path / "run") == after


def check_ended(lose, code, err, place):
    """One line says where the folder is; the folder that moved away can be resumed."""
    renamed = place / "renamed"
    assert code == 1, err
    assert (
        err == f"isthmus: training failed: the run folder run was {RENAMED if renamed.exists() else GONE}\n"
    )
    assert (place / "run").exists() is lose.__name__.startswith("replace")
    if renamed.exists():
        assert RunFolder.open(renamed).read_status()["status"] == "killed"


@pytest.mark.slow  # at any moment
@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("lose", WAYS)
def test_training_ends_and_leaves_what_has_the_name_now_alone(lose, processes, starting, ending, tmp_path):
    run = tmp_path / "run"
    several = ("trainer=ddp_cpu",) if processes > 1 else ()
    process = starting("train", *LONG, *several, cwd=tmp_path)
    while not (run / "checkpoints" / "last.ckpt").exists():
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.05)
    lose(run)
    after = content(run)
    ended = ending(process, timeout=60)
    check_ended(lose, ended.returncode, ended.stderr, tmp_path)
    assert content(run) == after


def test_a_renamed_run_resumes_where_it_lies_now(losing, here, tmp_path):
    losing(rename)
    epochs = int(RunFolder(tmp_path / "renamed").metrics.read_text().count("\n"))
    ended = here("resume", "renamed", f"trainer.max_epochs={epochs}")
    assert ended.code == 0, ended.err
    assert RunFolder(tmp_path / "renamed").is_done
