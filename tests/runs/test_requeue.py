"""A Slurm job that is put into the queue again resumes the runs that it began."""

from __future__ import annotations

import sys

import pytest

from isthmus.runs.config.compose import compose
from isthmus.runs.errors import Stopped
from isthmus.runs.reproduce import prepare, reproduce
from isthmus.runs.train import train

from ..crash.same import differences
from .resuming import SMALL


def test_a_slurm_job_that_is_queued_again_goes_on(reference, stopping, monkeypatch, tmp_path):
    """Its command is the same as before, and its folder would be another one."""
    monkeypatch.setenv("SLURM_JOB_ID", "4711")
    stopping(after=10)
    with pytest.raises(Stopped):
        train(compose([*SMALL]), tmp_path / "first")
    monkeypatch.setenv("SLURM_JOB_ID", "4712")
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    assert train(compose([*SMALL]), tmp_path / "of another job").path.name == "of another job"
    monkeypatch.setenv("SLURM_JOB_ID", "4711")
    assert train(compose([*SMALL, "seed=1"]), tmp_path / "another").path.name == "another"
    assert train(compose([*SMALL]), tmp_path / "second").path.name == "first"
    assert not (tmp_path / "second").exists()
    assert list(differences(tmp_path / "first", reference("plain"))) == []


@pytest.fixture
def queued_again(monkeypatch):
    """This process is a job that was put into the queue again."""
    monkeypatch.setenv("SLURM_JOB_ID", "4711")
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")


def test_a_script_that_trains_and_reproduces_is_queued_again(queued_again, monkeypatch, tmp_path):
    """The original is no reproduction of itself."""
    monkeypatch.setattr(sys, "argv", ["isthmus", "train"])
    original = train(compose([*SMALL]), tmp_path / "original")
    before = {path: path.read_bytes() for path in original.path.rglob("*") if path.is_file()}
    monkeypatch.setattr(sys, "argv", ["isthmus", "reproduce", "original"])
    folder, verdict = reproduce(prepare(original.path, to=tmp_path / "again"), tolerance=0.0)
    assert (folder.path.name, verdict.verdict) == ("again", "identical")
    assert {path: path.read_bytes() for path in before} == before
    monkeypatch.setattr(sys, "argv", ["isthmus", "train"])
    done = train(compose([*SMALL]), tmp_path / "new")
    assert done.path.name == "original", "what was done is not done again"
    assert {path: path.read_bytes() for path in before} == before


def test_a_sweep_that_is_queued_again_goes_on(queued_again, stopping, monkeypatch, reference, tmp_path):
    """The folder of a sweep is new each time; its jobs keep their numbers."""
    stopping(after=10)
    with pytest.raises(Stopped):
        train(compose([*SMALL]), tmp_path / "12-00" / "0")
    (tmp_path / "12-30" / "0").mkdir(parents=True)
    assert train(compose([*SMALL]), tmp_path / "12-30" / "0").path == tmp_path / "12-00" / "0"
    assert list(differences(tmp_path / "12-00" / "0", reference("plain"))) == []
    assert train(compose([*SMALL, "seed=1"]), tmp_path / "12-30" / "1").path == tmp_path / "12-30" / "1"
