"""Files are whole or not there."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from isthmus.common import atomic_files
from isthmus.common.atomic_files import create_text, remove, replacing, same_content, sweep, write_text
from isthmus.common.held_folder import holding

NAMES = ("step=1", "metrics.csv")


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_replaced_when_all_went_well(tmp_path):
    path = tmp_path / "file"
    write_text(path, "one")
    with pytest.raises(ZeroDivisionError), replacing(path) as beside:
        beside.write_text(f"tw{1 // 0}")
    assert path.read_text() == "one"
    write_text(path, "two")
    assert (path.read_text(), names(path.parent)) == ("two", ["file"])


@pytest.mark.parametrize("links", [True, False])
def test_created_once(links, monkeypatch, tmp_path):
    """Of many that try at once, one succeeds, and nobody sees half of what it writes."""
    if not links:
        monkeypatch.setattr(os, "link", _no_links)
    path = tmp_path / "status.json"

    def attempt(number):
        try:
            create_text(path, f"{number}")
        except FileExistsError:
            return None
        return number

    if links:  # threads share a process number, and so the file beside
        with ThreadPoolExecutor(8) as pool:
            monkeypatch.setattr(
                atomic_files, "_temporary_path", lambda place: tmp_path / f".{os.urandom(8).hex()}.part"
            )
            winners = [number for number in pool.map(attempt, range(50)) if number is not None]
    else:
        winners = [number for number in range(5) if attempt(number) is not None]
    assert len(winners) == 1
    assert path.read_text() == str(winners[0])
    assert names(tmp_path) == ["status.json"]


@pytest.mark.parametrize("links", [True, False])
def test_same_content(links, monkeypatch, tmp_path):
    if not links:
        monkeypatch.setattr(os, "link", _no_links)
    write_text(tmp_path / "best", "one")
    write_text(tmp_path / "last", "old")
    same_content(tmp_path / "best", tmp_path / "last")
    assert (tmp_path / "last").read_text() == "one"
    write_text(tmp_path / "last", "two")
    assert (tmp_path / "best").read_text() == "one", "what is written to one does not reach the other"


def test_a_folder_that_takes_the_place_of_a_held_one_keeps_its_files(monkeypatch, tmp_path):
    """Also when that happens between the check of the folder and the change."""
    monkeypatch.setattr(atomic_files, "check_held", lambda path: None)
    run = tmp_path / "run"
    run.mkdir()
    for name in NAMES:
        (run / name).write_text("old")
    with holding(run):
        with replacing(run / "metrics.csv") as beside:
            beside.write_text("new")
            run.rename(tmp_path / "renamed")
            run.mkdir()
            for name in NAMES:
                (run / name).write_text("of another run")
            (run / beside.name).write_text("of another run")
        remove(run / "step=1")
        remove(run / "absent")
    there = {path.name: path.read_text() for path in run.iterdir()}
    assert there == dict.fromkeys((*NAMES, beside.name), "of another run")
    assert {path.name: path.read_text() for path in (tmp_path / "renamed").iterdir()} == {
        "metrics.csv": "new"
    }


def test_an_error_in_a_held_folder_names_the_file(monkeypatch, tmp_path):
    def full(source, *arguments, **keywords):
        raise OSError(28, "full", source)

    monkeypatch.setattr(os, "replace", full)
    with holding(tmp_path), pytest.raises(OSError, match="full") as raised:
        write_text(tmp_path / "status.json", "{}")
    assert os.fspath(raised.value.filename) == str(tmp_path / "status.json")


def test_sweep_removes_what_was_left_and_nothing_else(tmp_path):
    (tmp_path / "inner" / ".projector.12.part").mkdir(parents=True)
    (tmp_path / "inner" / ".projector.12.part" / "file").touch()
    for name in ("kept.part", ".kept", "kept", ".left.12.part"):
        (tmp_path / "inner" / name).touch()
    (tmp_path / "outside").mkdir()
    (tmp_path / "inner" / ".link.12.part").symlink_to(tmp_path / "outside")
    (tmp_path / "outside" / ".theirs.12.part").touch()
    (tmp_path / "linked").symlink_to(tmp_path / "outside")
    sweep(tmp_path, "inner", "linked", "missing")
    assert names(tmp_path / "inner") == [".kept", "kept", "kept.part"]
    assert names(tmp_path / "outside") == [".theirs.12.part"], "it may be of a run that trains"


def test_nobody_knows_the_name_of_an_unfinished_file(tmp_path):
    """A link that lies there already would lead what is written elsewhere."""
    found = set()
    for _ in range(20):
        with replacing(tmp_path / "file") as beside:
            beside.touch()
            found.add(beside.name.split(".")[-2])
    assert (len(found), min(map(len, found))) == (20, 16)


def _no_links(*arguments):
    raise OSError(1, "Operation not permitted")
