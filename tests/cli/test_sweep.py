"""Sweeps do not mix: one at a time in a folder, and none in the folder of an earlier one."""

from __future__ import annotations

import multiprocessing
import shutil
from pathlib import Path

import pytest

from isthmus.cli.hydra.sweep_folder import claim, release
from isthmus.common.errors import BadInput

QUICK = (
    *("architecture=linear", "trainer=cpu", "trainer.threads=1", "trainer.max_steps=2", "logger=csv"),
    *(f"callbacks.{name}.enabled=false" for name in ("latents", "figures", "projector")),
)
SWEEP = ("train", "--multirun", *QUICK, "hydra.sweep.dir=sweep")


@pytest.fixture(autouse=True)
def _released():
    yield
    release()


def content(folder):
    return {path: path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


def hold(path, held, end):
    claim(path)
    held.set()
    end.wait()


def test_two_sweeps_at_once(here, tmp_path):
    fork = multiprocessing.get_context("fork")
    held, end = fork.Event(), fork.Event()
    other = fork.Process(target=hold, args=(tmp_path / "sweep", held, end))
    other.start()
    assert held.wait(60)
    said = here(*SWEEP, "seed=0,1")
    assert said.code == 2
    assert said.err == (
        "isthmus: hydra.sweep.dir=sweep: another sweep is going on there; wait for its end, or give another "
        "folder\n"
    )
    assert [path.name for path in (tmp_path / "sweep").iterdir()] == [".lock"]
    other.kill()  # the system lets go of the folder
    other.join()
    assert here(*SWEEP, "seed=0,1").code == 0
    assert {path.name for path in (tmp_path / "sweep").iterdir()} == {".lock", "multirun.yaml", "0", "1"}


@pytest.mark.slow
def test_two_commands_at_once(starting, ending, tmp_path):
    both = [starting(*SWEEP, f"seed={seeds}", cwd=tmp_path) for seeds in ("0,1,2", "3,4,5")]
    ended = [ending(process) for process in both]
    assert sorted(each.returncode for each in ended) == [0, 2]
    (refused,) = [each.stderr for each in ended if each.returncode]
    assert refused.startswith("isthmus: hydra.sweep.dir=sweep: ")
    assert refused.count("\n") == 1
    jobs = [(tmp_path / "sweep" / str(job) / "overrides.yaml").read_text() for job in range(3)]
    assert sorted(job[-2] for job in jobs) in (["0", "1", "2"], ["3", "4", "5"])


def test_a_second_sweep_into_the_folder_of_the_first(here, tmp_path):
    assert here(*SWEEP, "seed=0,1").code == 0
    before = content("sweep")
    said = here(*SWEEP, "seed=2,3,4")
    assert said.code == 2
    assert said.err.startswith("isthmus: hydra.sweep.dir=sweep: holds the runs of another sweep, and nothing")
    assert said.err.count("\n") == 1
    assert content("sweep") == before
    (tmp_path / "sweep" / ".lock").unlink()  # as sweeps left it before they held their folder
    assert here(*SWEEP, "seed=2,3,4").code == 2
    before.pop(Path("sweep/.lock"))
    assert content("sweep") == before


def test_a_sweep_that_no_run_came_of_may_begin_again(here):
    assert here(*SWEEP, "latent.dim=0,-1").code == 2
    assert Path("sweep/multirun.yaml").exists()
    assert here(*SWEEP, "latent.dim=1,2").code == 0


def test_a_sweep_that_was_killed_before_its_first_run_began_may_begin_again(here):
    assert here(*SWEEP, "seed=0,1").code == 0
    shutil.rmtree("sweep/1")
    for path in Path("sweep/0").iterdir():
        if path.name not in ("status.json", "provenance.json"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    Path("sweep/0/status.json").write_text('{"status": "running"}')
    assert here(*SWEEP, "seed=0,1").code == 0


def test_a_sweep_beside_other_runs(here):
    assert here("train", *QUICK, "hydra.run.dir=sweep/mine").code == 0
    before = content("sweep/mine")
    assert here(*SWEEP, "seed=0,1").code == 0
    assert content("sweep/mine") == before


def test_a_slurm_job_that_is_queued_again_finds_its_sweep(here, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "4711")
    assert here(*SWEEP, "seed=0,1").code == 0
    shutil.rmtree("sweep/1")
    done = content("sweep/0")
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    assert here(*SWEEP, "seed=0,1").code == 0
    assert content("sweep/0") == done
    assert Path("sweep/1/results.json").exists()


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(BadInput, match="cannot be written"):
        claim(tmp_path / "file" / "sweep")
