"""Runs by name: `name=` gives one to the folder, and commands take it, or latest, for RUN."""

from __future__ import annotations

import pytest

from .lines import SHORT, refused

TYPED = ("data=digits", *SHORT)


@pytest.fixture
def named(here):
    for name in ("first", "second"):
        assert here("train", *TYPED, f"name={name}").code == 0
    return here


def test_a_run_is_found_by_its_name(named, tmp_path):
    assert (tmp_path / "outputs" / "digits_ae" / "first" / "results.json").is_file()
    assert "outputs/digits_ae/first" in named("show", "first").out
    assert "outputs/digits_ae/second" in named("show", "latest").out
    assert named("evaluate", "latest").code == 0
    assert "did you mean first?" in refused(named("show", "frst"))


def test_data_of_the_same_name_do_not_hide_a_run(named, tmp_path):
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / "1.png").touch()
    assert "outputs/digits_ae/first" in named("show", "first").out
    (tmp_path / "data").mkdir()
    assert "RUN=data: holds nothing yet" in refused(named("show", "data"))


def test_a_name_is_taken_once(named):
    line = refused(named("train", *TYPED, "name=first"))
    assert line.startswith("isthmus: name=first: outputs/digits_ae/first exists, and nothing is overwritten")
    assert "give another name; to resume the run in it: isthmus resume outputs/" in line
    assert "hydra" not in line


def test_a_name_in_two_experiments_is_ambiguous(named):
    assert named("train", *TYPED, "name=first", "model=vae").code == 0
    line = refused(named("show", "first"))
    assert "outputs/digits_ae/first, outputs/digits_vae/first" in line


@pytest.mark.parametrize("name", ["../up", "a/b", "", ".", "-x", "latest", "true", "x" * 101])
def test_what_is_no_name(here, name, tmp_path):
    assert refused(here("train", *TYPED, f"name={name}")).startswith("isthmus: name=")
    assert not (tmp_path / "outputs").exists()


def test_without_runs_there_is_no_latest(here):
    assert "there is no run in outputs/ yet" in refused(here("show", "latest"))
