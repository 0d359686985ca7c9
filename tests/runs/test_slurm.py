"""What is asked of Slurm when a job's time is over; `scontrol` here only writes down what it is asked."""

from __future__ import annotations

from signal import SIGINT, SIGTERM, SIGUSR1

import pytest

from isthmus.runs.config.compose import is_follower
from isthmus.runs.execution.slurm import requeue_after, was_requeued
from isthmus.training.distributed import cluster

PREEMPTED = "JobId=7 JobState=RUNNING PreemptTime=2026-11-22T19:00:00 Partition=low"
NOT_PREEMPTED = "JobId=7 JobState=RUNNING PreemptTime=None Partition=low"
CANCELLED = "JobId=7 JobState=CANCELLED PreemptTime=2026-11-22T19:00:00 Partition=low"


@pytest.fixture(autouse=True)
def _job(monkeypatch):
    for name in ("SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID", "SLURM_STEP_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SLURM_JOB_ID", "7")


@pytest.fixture
def asked(monkeypatch, tmp_path):
    """Make a scontrol that says something, and give what it was asked, a line for each time."""

    def scontrol(says, *, code=0):
        program = tmp_path / "scontrol"
        program.write_text(
            f'#!/bin/sh\necho "$*" >> {tmp_path}/asked\n'
            f'case "$1" in requeue) echo no >&2; exit {code};; *) echo "{says}";; esac\n'
        )
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
        return lambda: (tmp_path / "asked").read_text().splitlines() if (tmp_path / "asked").exists() else []

    return scontrol


@pytest.mark.parametrize(
    ("signum", "says", "requeued"),
    [
        (SIGUSR1, NOT_PREEMPTED, True),
        (SIGTERM, PREEMPTED, True),
        (SIGTERM, NOT_PREEMPTED, False),
        (SIGTERM, CANCELLED, False),
        (SIGINT, PREEMPTED, False),
    ],
)
def test_a_job_whose_time_is_over_is_queued_again(signum, says, requeued, asked):
    lines = asked(says)
    requeue_after(signum)
    assert ("requeue 7" in lines()) is requeued


def test_of_an_array_this_task_alone(asked, monkeypatch):
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "5")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "1")
    lines = asked(PREEMPTED)
    requeue_after(SIGUSR1)
    assert lines() == ["requeue 5_1"]


def test_nothing_is_asked_outside_of_a_job(asked, monkeypatch):
    monkeypatch.delenv("SLURM_JOB_ID")
    lines = asked(PREEMPTED)
    requeue_after(SIGUSR1)
    assert lines() == []


@pytest.mark.parametrize("there", [True, False])
def test_what_went_wrong_is_said(there, asked, monkeypatch, tmp_path, capsys):
    asked(PREEMPTED, code=1)
    if not there:
        monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    requeue_after(SIGUSR1)
    said = capsys.readouterr().err
    assert said.startswith("isthmus: the job is not put into the queue again: ")
    assert ("no\n" if there else "no scontrol here") in said


def test_tasks_that_nobody_started_are_not_waited_for(monkeypatch):
    """A batch script that was given two tasks, and runs the command without srun."""
    for name, value in {"NTASKS": "2", "NTASKS_PER_NODE": "2", "PROCID": "0", "JOB_NAME": "train"}.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    assert cluster() is None


def test_a_process_that_nobody_started_with_others_makes_its_own_run(monkeypatch):
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    monkeypatch.delenv("SLURM_STEP_ID", raising=False)
    monkeypatch.setenv("SLURM_NTASKS", "2")
    monkeypatch.setenv("SLURM_PROCID", "1")
    assert (cluster(), is_follower()) == (None, False)
    monkeypatch.setenv("SLURM_RESTART_COUNT", "x")
    assert was_requeued()
