"""`isthmus reproduce`: the same bits again, and a verdict that tells when they are not."""

from __future__ import annotations

import csv
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from isthmus.cli.main import main
from isthmus.cli.reproduce import beginning
from isthmus.common.errors import BadInput
from isthmus.runs.comparison.run_diff import CHECKPOINTS
from isthmus.runs.comparison.verdict import DIFFERENT, IDENTICAL, NOT_JUDGED, WITHIN
from isthmus.runs.config.keys import NEUTRAL
from isthmus.runs.folder import provenance
from isthmus.runs.folder.run_folder import RunFolder
from isthmus.runs.reproduce import prepare

from .reproducing import edit, inside

QUICK = (
    *("model=vae", "loss=bce", "noise=gaussian", "latent.dim=2", "architecture.hidden=[8]"),
    *("trainer.max_epochs=2", "trainer.log_every_n_steps=5", "logger=csv"),
    *(f"callbacks.{name}.enabled=false" for name in ("latents", "figures", "projector")),
)


@pytest.fixture
def again(tmp_path, capsys):
    """`isthmus reproduce run ARGUMENTS` in this process: the exit code, what was printed, and the JSON."""

    def run(*arguments):
        capsys.readouterr()
        with inside(tmp_path):
            code = main(["reproduce", "run", *arguments])
        printed = capsys.readouterr()
        found = list(tmp_path.glob("outputs/*/*/reproduction.json"))
        return code, printed.out + printed.err, json.loads(found[0].read_text()) if found else None

    return run


def nudge(folder, name, by):
    """Add `by` to the first weight of a checkpoint."""
    path = folder.checkpoint(name)
    content = torch.load(path, weights_only=True)
    next(iter(content["state_dict"].values())).view(-1)[0] += by
    torch.save(content, path)


def test_a_fresh_run_is_identical_as_a_command(isthmus, original, tmp_path):
    ended = isthmus("reproduce", "run", "--json", env={"OMP_NUM_THREADS": "2"})
    assert ended.returncode == 0, ended.stderr
    printed = json.loads(ended.stdout)
    assert printed["verdict"] == IDENTICAL
    assert "epoch 2/2" in ended.stderr
    (new,) = tmp_path.glob("outputs/digits_vae/*")
    assert json.loads((new / "reproduction.json").read_text()) == printed
    assert (new / "metrics.csv").read_bytes() == original.metrics.read_bytes()
    assert (new / "config.yaml").read_bytes() == original.config.read_bytes()
    assert RunFolder(new).read_json(RunFolder(new).provenance)["threads"] == 1


def test_a_job_of_a_sweep(tmp_path, again):
    with inside(tmp_path):
        assert main(["train", "--multirun", "seed=0,1", *QUICK]) == 0
        (job,) = tmp_path.glob("outputs/digits_vae/*/1")
        shutil.copytree(job, tmp_path / "run")
        shutil.rmtree(tmp_path / "outputs")
    code, printed, found = again()
    assert (code, found["verdict"]) == (0, IDENTICAL), printed
    assert "nothing is known to differ" in printed


@pytest.mark.slow
def test_a_run_of_two_processes(tmp_path, again):
    with inside(tmp_path):
        assert main(["train", "trainer=ddp_cpu", *QUICK, "trainer.max_steps=4", "hydra.run.dir=run"]) == 0
    code, printed, found = again()
    assert (code, found["verdict"]) == (0, IDENTICAL), printed
    recorded = json.loads(Path(found["reproduced"], "provenance.json").read_text())
    assert (recorded["processes"], recorded["threads"]) == (2, 1)


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_other_weights_are_different(name, original, again):
    nudge(original, name, 1e-3)
    code, printed, found = again()
    assert (code, found["verdict"]) == (3, DIFFERENT)
    counts = {each: len(weights["differing"]) for each, weights in found["weights"].items()}
    assert counts == {**dict.fromkeys(CHECKPOINTS, 0), name: 1}
    assert f"{name}.ckpt" in printed
    assert "1 of 9 tensors differ, by at most 0.001" in printed
    assert "different: the final metrics are the same" in printed
    assert "nothing is known to differ: not code" in printed


def test_other_metrics_are_different_and_the_first_is_named(original, again):
    rows = list(csv.DictReader(original.metrics.open(newline="")))
    row = next(row for row in rows if row["val/loss"])
    honest = original.metrics.read_text()
    original.metrics.write_text(honest.replace(row["val/loss"], "1.5", 1))
    code, printed, found = again()
    assert (code, found["verdict"]) == (3, DIFFERENT)
    assert f"val/loss at step {row['step']}: 1.5 -> {row['val/loss']}" in printed
    assert found["metrics"]["cells"] - found["metrics"]["same_cells"] == 1


def test_other_results_are_different(original, again):
    edit(original.results, lambda results: results.update({"test/mse": 0.5}))
    code, printed, _ = again()
    assert code == 3
    assert "different: the metric that differs most, test/mse, differs by" in printed


def test_everything_known_to_differ_is_listed_before_and_after(original, again):
    def change(recorded):
        recorded["packages"]["torch"] = "1.0"
        recorded["code"] = {"isthmus": None, "working_directory": {"commit": "f" * 40}}

    edit(original.provenance, change)
    nudge(original, "last", 1e-3)
    code, printed, found = again()
    assert code == 3
    assert f"torch: 1.0 -> {torch.__version__}" in printed.partition("epoch 1/2")[0]
    assert f"torch: 1.0 -> {torch.__version__}" in printed.partition("what differs:")[2]
    assert {"torch", "code.working_directory.commit"} <= {each["what"] for each in found["differences"]}


@pytest.fixture
def of_arrays(tmp_path):
    """A run on a file; gives the file."""
    file = tmp_path / "values.npy"
    np.save(file, np.random.default_rng(0).random((200, 6), dtype=np.float32))
    with inside(tmp_path):
        typed = ("train", *QUICK, "data=arrays", f"data.path={file}", "loss=mse", "hydra.run.dir=run")
        assert main(typed) == 0
    return file


def test_other_data_are_different(of_arrays, again):
    np.save(of_arrays, np.random.default_rng(1).random((200, 6), dtype=np.float32))
    code, printed, found = again()
    assert (code, found["verdict"]) == (3, DIFFERENT)
    assert "\n  data: " in printed.partition("epoch 1/2")[0]
    assert [each["what"] for each in found["differences"]] == ["data"]


def test_the_same_data_elsewhere_are_identical(of_arrays, again, tmp_path):
    of_arrays.rename(tmp_path / "moved.npy")
    assert again()[0] == 2
    code, _, found = again(f"data.path={tmp_path / 'moved.npy'}", "data.in_memory=true", "data.num_workers=0")
    assert (code, found["verdict"]) == (0, IDENTICAL)
    assert found["changed"] == {}


def test_what_is_not_the_experiment_is_judged(original, again):
    neutral = ("trainer.threads=1", "trainer.steps_per_execution=3", "trainer.progress_bar=none")
    assert {each.partition("=")[0] for each in neutral} <= set(NEUTRAL)
    code, _, found = again(*neutral)
    assert (code, found["verdict"]) == (0, IDENTICAL)


def test_another_experiment_is_compared_and_not_judged(original, again):
    code, printed, found = again("latent.dim=3", "trainer.max_steps=-1", "seed=1")
    assert (code, found["verdict"], found["differences"]) == (0, NOT_JUDGED, [])
    changed = {"latent.dim": {"original": 2, "now": 3}, "seed": {"original": 0, "now": 1}}
    assert found["changed"] == changed
    assert "latent.dim: 2 -> 3" in printed.partition("epoch 1/2")[0]
    assert found["results"]["test/mse"]["difference"] > 0
    new = RunFolder(Path(found["reproduced"]))
    assert new.read_config().latent.dim == 3
    typed = (*QUICK, "latent.dim=3", "trainer.max_steps=-1", "seed=1")
    assert new.read_overrides() == list(typed)


@pytest.mark.parametrize("deterministic", ["true", "false"])
def test_a_gpu_that_is_free_to_round_is_told(deterministic, original, tmp_path, monkeypatch):
    hardware = {**provenance.hardware(), "gpus": ["one"]}
    monkeypatch.setattr(provenance, "hardware", lambda: hardware)
    with inside(tmp_path):
        free = prepare(Path("run"), overrides=[f"trainer.deterministic={deterministic}"])
        assert "need not have the same bits" in beginning(free) or deterministic == "true"
        bound = prepare(Path("run"), overrides=["trainer.accelerator=cpu"])
    assert free.free is (deterministic == "false")
    assert not bound.free
    assert "need not have" not in beginning(bound)


def test_other_hardware_is_within_tolerance(original, again):
    edit(original.provenance, lambda recorded: recorded["hardware"].update({"processor": "another"}))
    nudge(original, "last", 1e-6)
    edit(original.results, lambda results: results.update({"test/mse": results["test/mse"] * 1.001}))
    code, printed, found = again()
    assert (code, found["verdict"]) == (0, WITHIN), printed
    assert "test/mse, differs by 0.001; the tolerance is 0.02" in printed
    assert "hardware.processor: another -> " in printed.partition("what rounds differently:")[2]


def test_a_tolerance_that_was_typed_counts(original, again):
    edit(original.provenance, lambda recorded: recorded["hardware"].update({"processor": "another"}))
    edit(original.results, lambda results: results.update({"test/mse": results["test/mse"] * 1.001}))
    assert again("--tolerance", "1e-4")[0] == 3


def test_as_many_threads_as_the_original_had(original, again, monkeypatch):
    edit(original.provenance, lambda recorded: recorded.update({"threads": 64}))
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    before = torch.get_num_threads()
    _, printed, found = again("trainer.max_steps=1")
    new = RunFolder(Path(found["reproduced"]))
    assert new.read_json(new.provenance)["threads"] == 2
    assert new.read_config().trainer.threads is None
    assert "threads: 64 -> 2" in printed
    torch.set_num_threads(before)


# What is refused before anything is trained


def refusal(place, **arguments):
    with inside(place), pytest.raises(BadInput) as refused:
        prepare(Path("run"), **arguments)
    assert not list(place.glob("outputs"))
    return str(refused.value)


@pytest.mark.parametrize("state", ["stopped", "failed", "killed"])
def test_a_run_that_is_not_done_is_refused(state, original, tmp_path):
    # of a process that cannot be there
    pid = {"status": "running" if state == "killed" else state, "pid": 2**22 + 1}
    edit(original.status, lambda status: status.update(pid))
    assert refusal(tmp_path) == f"RUN=run: is not done but {state}; finish it first: isthmus resume run"


def test_a_run_that_is_going_on_is_refused(original, tmp_path):
    edit(original.status, lambda status: status.update({"status": "running", "pid": os.getpid()}))
    (original.path / ".lock").unlink(missing_ok=True)
    assert "is still running" in refusal(tmp_path)


@pytest.mark.parametrize("override", ["latent.dmi=3", "nothing=1", "latent.dim"])
def test_an_unknown_key_is_refused(override, original, tmp_path):
    assert override in refusal(tmp_path, overrides=[override])


def test_a_folder_that_holds_something_is_refused(original, tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "mine").touch()
    assert "--to=there" in refusal(tmp_path, to=Path("there"))


@pytest.mark.parametrize("name", ["checkpoints/best.ckpt", "checkpoints/last.ckpt", "results.json"])
def test_an_original_that_is_damaged_is_refused(name, original, tmp_path):
    path = original.path / name
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    assert path.name in refusal(tmp_path)
    path.unlink()
    assert path.name in refusal(tmp_path)
