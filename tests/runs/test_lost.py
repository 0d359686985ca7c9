"""The run folder is removed, renamed or replaced while a run is trained in it."""

from __future__ import annotations

import contextlib
import shutil
import time
from pathlib import Path

import pytest

from isthmus.runs.folder.run_folder import RunFolder

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


@pytest.mark.parametrize("processes", [1, pytest.param(2, marks=pytest.mark.slow)])
@pytest.mark.parametrize("lose", [remove, rename, replace, replace_by_a_copy])
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
    assert ended.returncode == 1, ended.stderr
    renamed = tmp_path / "renamed"
    what = RENAMED if renamed.exists() else GONE
    assert ended.stderr == f"isthmus: training failed: the run folder run was {what}\n"
    assert run.exists() is lose.__name__.startswith("replace")
    assert content(run) == after
    if renamed.exists():
        assert RunFolder.open(renamed).read_status()["status"] == "killed"


def test_a_renamed_run_resumes_where_it_lies_now(starting, ending, isthmus, tmp_path):
    process = starting("train", *LONG, cwd=tmp_path)
    while not (tmp_path / "run" / "checkpoints" / "last.ckpt").exists():
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.05)
    rename(tmp_path / "run")
    ending(process)
    epochs = int(RunFolder(tmp_path / "renamed").metrics.read_text().count("\n"))
    ended = isthmus("resume", "renamed", f"trainer.max_epochs={epochs}")
    assert ended.returncode == 0, ended.stderr
    assert RunFolder(Path(tmp_path / "renamed")).is_done
