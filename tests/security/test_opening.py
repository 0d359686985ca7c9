"""What surrounds a stranger's run: the folder it is opened in, and what its config would write or send."""

from __future__ import annotations

import subprocess
import sys

import pytest

from isthmus.common.errors import BadInput
from isthmus.runs.config.destinations import check_opened
from isthmus.runs.folder.untrusted import read_config

# modules that something imports if it finds them, and some that everything imports
SHADOWS = (
    *(
        "tensorflow",
        "wandb",
        "mlflow",
        "comet_ml",
        "neptune",
        "torchvision",
        "pandas",
        "matplotlib",
        "deepspeed",
    ),
    *("torch", "numpy", "hydra", "omegaconf", "yaml", "pytorch_lightning", "evil_parts"),
    *("multiprocessing", "tempfile", "random", "socket", "string", "readline", "usercustomize"),
)


@pytest.fixture
def hostile_folder(tmp_path, canary):
    """A folder full of modules, each of which makes the canary when it is imported."""
    folder = tmp_path / "hostile"
    (folder / "hydra_plugins").mkdir(parents=True)
    for name in SHADOWS:
        (folder / f"{name}.py").write_text(
            f"open({str(canary)!r}, 'a').write({name!r} + ' ')\nraise SystemExit(9)\n"
        )
    (folder / "hydra_plugins" / "evil.py").write_text((folder / "wandb.py").read_text())
    return folder


def test_modules_in_the_folder_it_runs_in(starting, ending, hostile_folder, canary, run):
    typed = ("-m", "isthmus", "evaluate", "../run")
    ended = ending(starting(*typed, cwd=hostile_folder, program="python", env={"PYTHONSAFEPATH": ""}))
    assert not canary.exists(), canary.read_text()
    assert ended.returncode == 0, ended.stderr
    assert {path.suffix for path in hostile_folder.iterdir()} == {".py", ""}


@pytest.mark.parametrize("started", ["multiprocessing.spawn", "multiprocessing.resource_tracker", "tempfile"])
def test_modules_that_processes_it_starts_would_find(started, hostile_folder, canary, command, monkeypatch):
    """As spawned workers begin: `python -c` looks in the folder before all others."""

    def begin():
        subprocess.run([sys.executable, "-c", f"import {started}"], cwd=hostile_folder, check=False)
        return canary.exists()

    monkeypatch.setenv("PYTHONSAFEPATH", "")
    command("show", "nothing")
    assert not begin()
    monkeypatch.setenv("PYTHONSAFEPATH", "")
    assert begin()


@pytest.mark.parametrize("said", [{}, {"ISTHMUS_TRUST": "1"}, {"ISTHMUS_ALLOW": "mine"}])
def test_the_folder_is_looked_in_where_that_is_asked_for(said, command, run, monkeypatch, tmp_path):
    for name, value in said.items():
        monkeypatch.setenv(name, value)
    assert command("evaluate", run / "nothing").code == 2
    assert (str(tmp_path / "here") in sys.path) == bool(said)
    assert sys.path[0] != str(tmp_path / "here")


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """Fashion-MNIST is not on this machine."""
    from isthmus.data import fashion_mnist

    monkeypatch.setattr(fashion_mnist, "DEBIAN", tmp_path / "nothing")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "nothing"))


OPENED = {
    "data.root": ("/somewhere/else", "downloaded there"),
    "logger.another.tracking_uri": ("sqlite:////somewhere/else.db", "written to or sent to"),
    "logger.tensorboard.tracking_uri": ("http://evil.example", "written to or sent to"),
    "logger.another.offline": (False, "send the run to a server"),
}


@pytest.mark.parametrize("key", OPENED)
def test_what_a_config_would_write_or_send(key, run, change, refused, nowhere):
    value, says = OPENED[key]
    change(key, value)
    with pytest.raises(BadInput, match=says) as caught:
        check_opened(read_config(run / "config.yaml"))
    assert caught.value.key == key
    assert "\n" not in str(caught.value)
    if key != "data.root":  # of digits, which has no such key
        refused("evaluate", run, says=(key,))


def test_a_folder_that_evaluating_would_download_to(run, change, refused, nowhere, tmp_path):
    change("data._target_", "isthmus.data.fashion_mnist.FashionMNIST")
    change("data.root", str(tmp_path / "elsewhere"))
    refused("evaluate", run, says=(f"data.root={tmp_path / 'elsewhere'}", "data.root=null"))


@pytest.mark.parametrize("key", OPENED)
def test_what_is_typed_is_not_held_against_the_config(key, run, change, nowhere, monkeypatch):
    change(key, OPENED[key][0])
    cfg = read_config(run / "config.yaml")
    check_opened(cfg, [f"{key}={OPENED[key][0]}"])
    monkeypatch.setenv("ISTHMUS_TRUST", "1")
    check_opened(cfg)
