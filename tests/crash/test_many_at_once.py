"""Runs that begin in the same second have a folder each."""

from __future__ import annotations

import multiprocessing
import re

import pytest
import yaml
from hydra.core.utils import setup_globals
from omegaconf import OmegaConf

from isthmus.runs.config.compose import conf_dir, register_resolvers
from isthmus.runs.folder.run_folder import RunFolder

MANY = 20
QUICK = (
    "trainer=cpu",
    "trainer.threads=1",
    "trainer.max_steps=2",
    "architecture=linear",
    "logger=csv",
    "callbacks.figures.summary=false",
)


def begin(place, barrier, made):
    """Claim the folder that config.yaml names for a new run."""
    setup_globals()
    register_resolvers()
    pattern = yaml.safe_load((conf_dir() / "config.yaml").read_text())["hydra"]["run"]["dir"]
    barrier.wait()
    name = OmegaConf.create({"name": None, "folder": pattern.rpartition("/")[2]}).folder
    made.put(RunFolder.create(place / name).path.name)


def test_processes_that_begin_in_the_same_second_have_a_folder_each(tmp_path):
    fork = multiprocessing.get_context("fork")
    barrier, made = fork.Barrier(MANY), fork.Queue()
    processes = [fork.Process(target=begin, args=(tmp_path, barrier, made)) for _ in range(MANY)]
    for process in processes:
        process.start()
    names = {made.get(timeout=60) for _ in processes}
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert names == {path.name for path in tmp_path.iterdir()}
    assert len(names) == MANY
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d_[0-9a-f]{6}", name) for name in names)


@pytest.mark.kill
def test_twenty_commands_at_once(starting, ending, tmp_path):
    processes = [starting("train", *QUICK, cwd=tmp_path) for _ in range(MANY)]
    ended = [ending(process, timeout=500) for process in processes]
    assert [(each.returncode, each.stderr) for each in ended] == [(0, "")] * MANY
    runs = list(tmp_path.glob("outputs/*/*"))
    assert len(runs) == MANY
    assert all(RunFolder.open(run).read_status()["status"] == "done" for run in runs)
