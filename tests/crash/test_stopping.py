"""Runs that are asked to stop, or lose one of their processes, and go on to the same bits."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from isthmus.runs.folder.run_folder import RunFolder

from .kill import Moment, once
from .victim import check_one_line
from .whole import check_whole

pytestmark = pytest.mark.kill

MIDDLE = Moment("latents", 0.4)
WRITING = Moment("checkpoints", 0.3)


def terminate(process):
    process.terminate()  # this process alone, as `kill` does


def press_ctrl_c(process):
    os.killpg(process.pid, signal.SIGINT)  # all processes of the terminal


def press_ctrl_c_twice(process):
    press_ctrl_c(process)
    time.sleep(0.05)
    press_ctrl_c(process)


@pytest.mark.parametrize(
    ("config", "ask", "code", "moment"),
    [
        ("plain", terminate, 143, MIDDLE),
        ("plain", press_ctrl_c, 130, WRITING),
        ("streamed", press_ctrl_c, 130, MIDDLE),
        ("streamed", terminate, 143, WRITING),
        ("ddp", press_ctrl_c, 130, MIDDLE),
        ("ddp", terminate, 143, WRITING),
    ],
)
def test_asked_to_stop(config, ask, code, moment, victim):
    stopped = victim(config)
    ended = stopped.go_on(once(moment, stopped.reference.pace, ask))
    assert ended.code == code, ended.err
    assert ended.err.splitlines()[-1].startswith("isthmus: stopped")
    check_whole(stopped.run, interrupted=False)
    stopped.check("stopped")
    assert (stopped.run / "checkpoints" / "last.ckpt").exists()
    stopped.finish()


@pytest.mark.parametrize("ask", [terminate, press_ctrl_c])
@pytest.mark.parametrize("moment", [Moment("status.json", 0), Moment("projector", 0.3)], ids=str)
def test_asked_to_stop_before_and_after_training(ask, moment, victim):
    stopped = victim("plain")
    ended = stopped.go_on(once(moment, stopped.reference.pace, ask))
    assert ended.code in (0, 130, 143, -signal.SIGINT, -signal.SIGTERM), ended.err
    check_whole(stopped.run, interrupted=True)
    if (stopped.run / "config.yaml").exists():
        said = RunFolder.open(stopped.run).read_status()["status"]
        # a signal may come when everything is done, and only Python's end is left
        assert said in {0: ["done"], 130: ["stopped"], 143: ["stopped"]}.get(ended.code, ["killed", "done"])
        stopped.check(said)
        stopped.finish()
    elif stopped.run.exists():  # where there was nothing to keep, nothing is left
        stopped.forget()


@pytest.mark.parametrize("moment", [MIDDLE, Moment("projector", 0)], ids=str)
def test_ctrl_c_twice_leaves_at_once(moment, victim):
    left = victim("plain")
    ended = left.go_on(once(moment, left.reference.pace, press_ctrl_c_twice))
    assert ended.code in (0, 130, -signal.SIGINT), ended.err
    assert ended.err.count("Ctrl+C once more") <= 1  # the second time there is nothing left to say
    check_whole(left.run, interrupted=True)
    said = RunFolder.open(left.run).read_status()["status"]
    # the second one may come when the first one's stop is recorded, or everything is done
    assert said in {0: ["done"], 130: ["stopped"]}.get(ended.code, ["killed", "stopped", "done"])
    left.check(said)
    left.finish()


@pytest.mark.parametrize(
    ("config", "moment"),
    [("streamed", MIDDLE), ("ddp", MIDDLE), ("ddp", Moment("any time", 0.15))],  # while the others begin
    ids=str,
)
def test_where_the_first_process_is_killed_the_others_end(config, moment, victim):
    killed = victim(config)
    ended = killed.go_on(once(moment, killed.reference.pace, lambda process: process.kill()))
    assert ended.code == -signal.SIGKILL
    killed.record("killed", "first process alone")
    check_whole(killed.run, interrupted=True)
    killed.check("killed")
    killed.finish()


def test_where_one_of_two_processes_is_killed_the_run_has_failed(victim):
    killed = victim("ddp")
    ended = killed.go_on(once(MIDDLE, killed.reference.pace, kill_one_that_trains))
    assert ended.code == 1
    killed.record("killed", "one of two processes")
    check_one_line(ended.err, "a process was killed")
    check_whole(killed.run, interrupted=True)
    killed.check("failed")
    killed.finish()


def kill_one_that_trains(process: subprocess.Popen[str]) -> None:
    """The youngest child, as the system does when memory runs out."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill(int(children[-1]), signal.SIGKILL)
