"""Interrupted and resumed equals uninterrupted, to the bit, wherever the interruption comes."""

from __future__ import annotations

import gc
import json
import os
import shutil
import subprocess
import sys

import pytest
import torch

from isthmus.common.errors import BadInput
from isthmus.runs.config import build
from isthmus.runs.config.compose import compose
from isthmus.runs.errors import Stopped
from isthmus.runs.execution.restart import newest
from isthmus.runs.folder.migrations import FORMAT
from isthmus.runs.folder.run_folder import RunFolder
from isthmus.runs.resume import resume
from isthmus.runs.train import train
from isthmus.training.callbacks.checkpoints import Checkpoints
from isthmus.training.checkpoint.content import Checkpoint
from isthmus.training.checkpoint.io import read_checkpoint
from isthmus.training.module import AutoencoderModule
from isthmus.training.progress import Progress

from ..crash.same import differences
from .resuming import CONFIGS, SMALL

STEPS = (4, 8, 9, 15)  # within a group of steps, at the end of an epoch, at the first step of one
# each step with the VAE, which has most to go on with, and each config once; the other pairs are slow
FIRST = {name: STEPS[at % len(STEPS)] for at, name in enumerate(CONFIGS)}
PAIRS = [
    pytest.param(name, step, marks=[pytest.mark.slow] * (name != "vae" and FIRST[name] != step))
    for name in CONFIGS
    for step in STEPS
]


def check_resumed(run, reference):
    folder = resume(run)
    assert folder.read_status()["status"] == "done"
    assert list(differences(run, reference)) == []


@pytest.mark.parametrize(("name", "step"), PAIRS)
def test_stopped_after_a_step(name, step, reference, stopping, tmp_path):
    expected = reference(name)
    stopping(after=step)
    run = tmp_path / "run"
    with pytest.raises(Stopped) as stop:
        train(compose([*SMALL, *CONFIGS[name]]), run)
    assert stop.value.exit_code == 143
    status = RunFolder(run).read_status()
    assert (status["status"], status["step"]) == ("stopped", step)
    check_resumed(run, expected)


@pytest.mark.parametrize("stage", ["validate", "test"])
@pytest.mark.parametrize("name", ["vae", "few steps"])
def test_stopped_while_nothing_is_trained(name, stage, reference, stopping, tmp_path):
    expected = reference(name)
    stopping(during=stage)
    with pytest.raises(Stopped):
        train(compose([*SMALL, *CONFIGS[name]]), tmp_path / "run")
    check_resumed(tmp_path / "run", expected)


@pytest.mark.parametrize("stage", ["train", "validate"])
def test_stopped_at_the_last_step_of_all(stage, reference, stopping, tmp_path):
    expected = reference("few steps")
    stopping(after=21, during=stage)
    with pytest.raises(Stopped):
        train(compose([*SMALL, *CONFIGS["few steps"]]), tmp_path / "run")
    check_resumed(tmp_path / "run", expected)


def test_stopped_again_and_again(reference, stopping, tmp_path):
    expected, run = reference("vae"), tmp_path / "run"
    stopping(after=2)
    with pytest.raises(Stopped):
        train(compose([*SMALL, *CONFIGS["vae"]]), run)
    for where in ({"after": 4}, {"during": "validate"}, {"after": 13}, {"during": "test"}):
        stopping(**where)
        with pytest.raises(Stopped):
            resume(run)
    check_resumed(run, expected)
    assert len(RunFolder.read_json(run / "provenance.json")["resumed"]) == 5


def test_it_does_not_matter_how_many_steps_lightning_takes_at_a_time(reference, stopping, tmp_path):
    expected, run = reference("vae"), tmp_path / "run"
    stopping(after=13)
    with pytest.raises(Stopped):
        train(compose([*SMALL, *CONFIGS["vae"]]), run)
    resume(run, overrides=["trainer.steps_per_execution=1"])
    assert [line for line in differences(run, expected) if not line.startswith("config.yaml")] == []


def test_a_checkpoint_from_weights_in_another_layout(tmp_path, monkeypatch):
    """As `auto` may have it on another machine; fused optimizers take one layout for granted."""
    small = [each for each in SMALL if not each.startswith("architecture.hidden")]
    typed = [*small, "architecture=conv", "trainer.max_epochs=1"]
    for name, laid_out in (("same", build.set_memory_format), ("other", lambda *arguments, **keywords: None)):
        with monkeypatch.context() as patched:
            patched.setattr(build, "set_memory_format", laid_out)
            train(compose(typed), tmp_path / name)
        resume(tmp_path / name, overrides=["trainer.max_epochs=2"])
    paths = [tmp_path / name / "checkpoints" / "last.ckpt" for name in ("same", "other")]
    same, other = (read_checkpoint(path)["state_dict"] for path in paths)
    for one, two in zip(same.values(), other.values(), strict=True):
        assert torch.allclose(one, two, rtol=1e-3, atol=1e-5)


def test_minutes_and_signals_write_no_latents(reference, monkeypatch, tmp_path):
    """A checkpoint at every step by the clock: the files of the run are those of any run."""
    saved = []
    save = Checkpoints._save
    monkeypatch.setattr(
        Checkpoints,
        "_save",
        lambda self, *args, **kw: (
            saved.append(kw.get("module") is not None),
            save(self, *args, **kw),
        ),
    )
    train(compose([*SMALL, "callbacks.checkpoint.every_n_minutes=1e-9"]), tmp_path / "run")
    assert saved.count(False) == 24
    files = {path.name for path in (reference("plain") / "latents").iterdir()}
    assert {path.name for path in (tmp_path / "run" / "latents").iterdir()} == files


def test_a_run_that_is_done_trains_further(reference, tmp_path):
    """As far as a run that was to train as long from the start."""
    train(compose([*SMALL, "trainer.max_epochs=1"]), tmp_path / "run")
    resume(tmp_path / "run", overrides=["trainer.max_epochs=3"])
    assert list(differences(tmp_path / "run", reference("plain"))) == []
    assert RunFolder(tmp_path / "run").read_config().trainer.max_epochs == 3


def test_killed_between_the_two_checkpoints_of_the_end(reference, tmp_path):
    """The best is written first; nothing is left to train, and the last is there all the same."""
    shutil.copytree(reference("plain"), tmp_path / "run")
    folder = RunFolder(tmp_path / "run")
    best = torch.load(folder.checkpoint("last"), weights_only=True)
    folder.checkpoint("last").replace(folder.checkpoints / "best.ckpt")
    folder.results.unlink()
    folder.write_status("killed")
    resume(folder.path)
    assert folder.is_done
    last = torch.load(folder.checkpoint("last"), weights_only=True)
    assert last["global_step"] == best["global_step"]


def test_killed_before_the_config_was_written_the_same_command_trains(monkeypatch, tmp_path):
    class Killed(BaseException):
        pass

    def die(self):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "remove", die)  # a kill lets nothing be removed
        patch.setattr("isthmus.runs.train.provenance", lambda **keywords: die(None))
        with pytest.raises(Killed):
            train(compose([*SMALL, "trainer.max_epochs=1"]), tmp_path / "run")
    assert (tmp_path / "run" / "status.json").is_file()
    assert not (tmp_path / "run" / "config.yaml").exists()
    assert train(compose([*SMALL, "trainer.max_epochs=1"]), tmp_path / "run").is_done


def test_a_run_that_was_never_saved_begins_again(reference, monkeypatch, tmp_path):
    def fail(*args, **keywords):
        raise RuntimeError("lost")

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "_save", fail)
        with pytest.raises(RuntimeError):
            train(compose([*SMALL]), tmp_path / "run")
    assert RunFolder(tmp_path / "run").read_status()["status"] == "failed"
    check_resumed(tmp_path / "run", reference("plain"))


@pytest.mark.parametrize(("override", "threads"), [((), 2), (("trainer.threads=1",), 1)])
def test_as_many_threads_as_before(override, threads, stopping, monkeypatch, tmp_path, capsys):
    """Unless another number is asked for, and then it is said what that does."""
    monkeypatch.setattr("os.cpu_count", lambda: 4)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    stopping(after=10)
    with pytest.raises(Stopped):
        train(compose([*SMALL, "trainer.threads=null"]), tmp_path / "run")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    capsys.readouterr()
    resume(tmp_path / "run", overrides=override)
    assert torch.get_num_threads() == threads
    torch.set_num_threads(1)
    warned = "may have other bits than an uninterrupted run: threads: 2 -> 1" in capsys.readouterr().out
    assert warned == (threads != 2)


@pytest.fixture
def stopped(stopping, tmp_path):
    """A run that was stopped in its second epoch."""
    stopping(after=10)
    with pytest.raises(Stopped):
        train(compose([*SMALL]), tmp_path / "run")
    return RunFolder(tmp_path / "run")


def test_a_damaged_checkpoint_is_passed_over(stopped, reference):
    last = stopped.checkpoint("last")
    last.write_bytes(last.read_bytes()[:1000])
    check_resumed(stopped.path, reference("plain"))


def test_without_a_whole_checkpoint_nothing_is_lost(stopped):
    for name in ("last", "best"):
        stopped.checkpoint(name).write_bytes(b"damaged")
    before = stopped.metrics.read_bytes()
    with pytest.raises(BadInput, match=r"cannot be resumed: last\.ckpt is damaged.*; best\.ckpt is damaged"):
        resume(stopped.path)
    assert stopped.metrics.read_bytes() == before


@pytest.mark.parametrize(
    "told",
    [
        {"position": None},
        {"position": {"epoch": "1", "batch": 2, "step": 10}},
        {"position": {"epoch": 1, "batch": -2, "step": 10}},
        {"position": [1, 2, 3]},
        {"logs": None},
        {"logs": {"events": {"events.out.tfevents.1": "many"}, "metrics": 3}},
        {"logs": {"events": [], "metrics": 3}},
        {"logs": {"events": {}}},
    ],
)
def test_a_checkpoint_that_lies_about_its_place(told, stopped):
    path = stopped.checkpoint("last")
    torch.save({**torch.load(path, weights_only=True), **told}, path)
    before = stopped.metrics.read_bytes()
    with pytest.raises(BadInput, match=r"last\.ckpt does not tell how far training was"):
        resume(stopped.path)
    assert stopped.metrics.read_bytes() == before


def test_a_checkpoint_of_two_processes_between_two_epochs(stopped):
    """There are no means of an epoch that is going on then."""
    path = stopped.checkpoint("last")
    checkpoint = torch.load(path, weights_only=True)
    between = {"epoch": 1, "batch": 0, "step": 10, "processes": 2, "means": [None]}
    torch.save({**checkpoint, "position": between}, path)
    start = newest(stopped)
    assert start is not None
    assert start.position == Progress(1, 0, 10)


def write(path, **changes):
    content = {**json.loads(path.read_text()), **changes}
    RunFolder.write_json(path, content)


def test_refused(stopped):
    for override, said in (
        ("latent.dim=3", "cannot change in the middle of a run"),
        ("data.batch_size=3", "cannot change in the middle of a run"),
        ("trainer.max_epoch=3", "there is no such key"),
        ("trainer.max_epochs=x", "must be"),
    ):
        with pytest.raises(BadInput, match=said):
            resume(stopped.path, overrides=[override])
    provenance = json.loads(stopped.provenance.read_text())
    write(stopped.provenance, data={**provenance["data"], "fingerprint": "of other data"})
    with pytest.raises(BadInput, match="is the fingerprint of the data that the run was trained on"):
        resume(stopped.path)
    write(stopped.status, format=FORMAT + 1)
    with pytest.raises(BadInput, match=f"has format {FORMAT + 1}.*use a newer isthmus"):
        resume(stopped.path)
    write(stopped.status, format=1)
    with pytest.raises(BadInput, match="has format 1, whose checkpoints cannot be resumed"):
        resume(stopped.path)


def test_one_process_at_a_time(stopped):
    hold = (
        "import sys, pathlib; from isthmus.runs.folder.run_folder import RunFolder\n"
        "with RunFolder(pathlib.Path(sys.argv[1])).held(): print('held', flush=True); sys.stdin.read()"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", hold, str(stopped.path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert other.stdout.readline() == "held\n"
    with pytest.raises(BadInput, match=r"is being trained by process \d+ on .*; wait for it, or stop it"):
        resume(stopped.path)
    other.communicate()
    assert resume(stopped.path).read_status()["status"] == "done"


def test_another_number_of_processes_in_the_middle_of_an_epoch(stopped, monkeypatch):
    monkeypatch.setattr("isthmus.training.progress.processes", lambda: 2)
    content = torch.load(stopped.checkpoint("last"), weights_only=True)
    from isthmus.training.progress import recorded

    with pytest.raises(BadInput, match="in the middle of an epoch that 1 processes began"):
        recorded(content, rank=0)


@pytest.mark.slow
def test_the_command(isthmus, stopped, reference):
    ended = isthmus("resume", "run")
    assert ended.returncode == 0, ended.stderr
    assert "resuming at epoch 2, step 10" in ended.stdout
    assert "run folder: run" in ended.stdout
    assert list(differences(stopped.path, reference("plain"))) == []
    again = isthmus("resume", "run")
    assert (again.returncode, again.stderr) == (0, "")
    assert "run is done; to train it further: isthmus resume run trainer.max_epochs=N" in again.stdout
    refused = isthmus("resume", "run", "latent.dim=5")
    assert refused.returncode == 2
    assert refused.stderr.startswith("isthmus: latent.dim=5: cannot change in the middle of a run")
    assert not os.path.exists(stopped.path / ".config.yaml")


def test_the_marked_latents_are_those_of_the_best(tmp_path):
    folder = train(compose([*SMALL, "trainer.max_epochs=1"]), tmp_path / "run")
    for overrides, marked in (
        (["trainer.max_epochs=2"], ["best_test.safetensors", "best_val.safetensors"]),
        (["trainer.max_epochs=3", "callbacks.latents.enabled=false"], []),
    ):
        resume(folder.path, overrides=overrides)
        assert sorted(path.name for path in folder.latents.glob("best_*")) == marked
        for path in folder.latents.glob("best_*"):
            step = folder.read_json(folder.results)["step"]
            assert path.samefile(folder.latents / path.name.replace("best", f"step={step:08d}"))


def test_training_keeps_no_checkpoint_in_memory(tmp_path, monkeypatch):
    kept = []

    def look(self):
        kept.append(sum(type(each) is Checkpoint for each in gc.get_objects()))

    train(compose([*SMALL, "trainer.max_epochs=1"]), tmp_path / "run")
    monkeypatch.setattr(AutoencoderModule, "on_train_start", look)
    resume(tmp_path / "run", overrides=["trainer.max_epochs=2"])
    assert kept == [0]
