"""Disks that are full, and folders that become read-only, while a run is trained in them."""

from __future__ import annotations

import os
import shutil
import signal

import pytest

from ..conftest import SCRIPTS
from .disk import small_disk
from .kill import Moment, once
from .victim import check_one_line
from .whole import check_whole

pytestmark = pytest.mark.kill


@pytest.fixture
def disk(tmp_path):
    place = tmp_path / "disk"
    place.mkdir()
    try:
        with small_disk(place, megabytes=8) as mounted:
            yield mounted
    except PermissionError as error:
        pytest.skip(str(error))


@pytest.fixture
def on_disk(disk, victim, starting, tmp_path):
    """A run whose folder is on the disk."""
    program, *arguments = disk.command(str(SCRIPTS / "isthmus"))

    def start(*typed):
        typed = [each.replace(str(disk.seen), str(disk.place)) for each in typed]
        return starting(*arguments, *typed, program=shutil.which(program), cwd=tmp_path)

    return lambda config: victim(config, place=disk.seen, start=start)


def halted(do):
    """Does something while the command stands still, which could be at its end before that is done."""

    def at_a_moment(process):
        os.killpg(process.pid, signal.SIGSTOP)
        do()
        os.killpg(process.pid, signal.SIGCONT)

    return at_a_moment


@pytest.mark.parametrize(
    ("config", "moment"),
    [
        ("plain", Moment("checkpoints", 0.4)),
        ("plain", Moment("latents", 0.4)),
        ("plain", Moment("metrics.csv", 0.4)),
        ("plain", Moment("projector", 0)),
        ("ddp", Moment("checkpoints", 0.4)),
    ],
    ids=str,
)
def test_a_full_disk(config, moment, disk, on_disk):
    starved = on_disk(config)
    ended = starved.go_on(once(moment, starved.reference.pace, halted(disk.fill)))
    assert ended.code == 1, ended.err
    check_one_line(ended.err, "No space left on device", "isthmus resume ")
    check_whole(starved.run, interrupted=True)
    again = starved.go_on()
    assert again.code in (1, 2)
    check_one_line(again.err, "No space left on device")
    disk.remount("ro")
    refused = starved.go_on()
    assert refused.code == 2
    check_one_line(refused.err, "Read-only file system")
    disk.remount("rw,size=64m")
    starved.finish()


@pytest.mark.parametrize("moment", [Moment("checkpoints", 0.3), Moment("latents", 0.5)], ids=str)
def test_a_folder_that_becomes_read_only(moment, victim, starting, tmp_path):
    denied = victim("plain", start=unprivileged(starting, tmp_path))
    ended = denied.go_on(once(moment, denied.reference.pace, lambda _: allow(denied.run, 0o555)))
    assert ended.code == 1
    check_one_line(ended.err, "Permission denied", "isthmus resume ")
    check_whole(denied.run, interrupted=True)
    refused = denied.go_on()
    assert refused.code == 2
    check_one_line(refused.err, "Permission denied")
    allow(denied.run, 0o755)
    denied.finish()


def allow(run, mode):
    for folder in (run, *(path for path in run.rglob("*") if path.is_dir())):
        folder.chmod(mode)


def unprivileged(starting, cwd):
    """Starts isthmus so that permissions count, which root does not ask for."""
    if os.geteuid():
        return lambda *arguments: starting(*arguments, cwd=cwd)
    program = shutil.which("setpriv")
    if program is None:
        pytest.skip("root may write everywhere, and setpriv (util-linux) is not on this machine")
    bounded = ("--bounding-set=-dac_override,-dac_read_search", str(SCRIPTS / "isthmus"))
    return lambda *arguments: starting(*bounded, *arguments, program=program, cwd=cwd)
