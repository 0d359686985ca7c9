"""Which failures cost a warning, and which end the run."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from isthmus.common.failures import WarnOnFailure
from isthmus.common.held_folder import holding


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").mkdir()
    with holding(Path("run")):
        yield


def test_a_failure_is_one_warning(run, caplog):
    warned = WarnOnFailure("a figure could not be drawn")
    for _ in range(3):
        with warned:
            raise ValueError("no such colour")
    assert [record.getMessage() for record in caplog.records] == [
        "warning: a figure could not be drawn (ValueError: no such colour); the run goes on"
    ]


def test_a_missing_file_elsewhere_is_a_warning(run, caplog):
    with WarnOnFailure("a figure could not be drawn"):
        Path("elsewhere/font.ttf").read_bytes()
    assert len(caplog.records) == 1


def test_a_run_folder_that_is_being_removed_ends_the_run(run, caplog):
    with pytest.raises(FileNotFoundError), WarnOnFailure("a figure could not be drawn"):
        Path("run/figures/new.png").absolute().write_bytes(b"")
    assert not caplog.records


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_a_full_disk_ends_the_run(run, number):
    with pytest.raises(OSError, match="figures"), WarnOnFailure("a figure could not be drawn"):
        raise OSError(number, "full", str(Path("run/figures/new.png").absolute()))


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
def test_a_stop_is_no_failure(run, stop):
    with pytest.raises(stop), WarnOnFailure("a figure could not be drawn"):
        raise stop
