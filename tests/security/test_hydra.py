"""A folder of configs may choose the parts of a run, and must not set Hydra itself."""

from __future__ import annotations

import functools

import pytest

from isthmus.cli.hydra import guard
from isthmus.data import fashion_mnist

GLOBAL = "# @package _global_\n"
MAIN = "defaults:\n  - /config\n  - _self_\nhydra:\n"  # of a config that is named in place of ours
WANDB = GLOBAL + "defaults:\n  - override /logger: wandb\n"
FASHION = GLOBAL + "defaults:\n  - override /data: fashion_mnist\n"
TOUCH = "\n      _target_: evil_parts.evil\n"

# file in the folder -> its text; what is typed; what the line must say
ATTACKS = {
    "a callback": (
        {"experiment/x.yaml": GLOBAL + "hydra:\n  callbacks:\n    x:" + TOUCH},
        ["experiment=x"],
        "hydra.callbacks",
    ),
    "a callback in a group of Hydra's": (
        {
            "hydra/callbacks/x.yaml": "x:\n  _target_: evil_parts.evil\n",
            "experiment/x.yaml": GLOBAL + "defaults:\n  - override /hydra/callbacks: x\n",
        },
        ["experiment=x"],
        "hydra.callbacks",
    ),
    "a callback by its package": (
        {"experiment/x.yaml": "# @package hydra.callbacks.x\n_target_: evil_parts.evil\n"},
        ["experiment=x"],
        "hydra.callbacks",
    ),
    "a callback by a package in the defaults": (
        {
            "experiment/x.yaml": "defaults:\n  - /model@hydra.callbacks.x: y\n",
            "model/y.yaml": "_target_: evil_parts.evil\n",
        },
        ["experiment=x"],
        "hydra.callbacks",
    ),
    "a callback in a part": (
        {"loss/x.yaml": GLOBAL + "hydra:\n  callbacks:\n    x:" + TOUCH},
        ["loss=x"],
        "hydra.callbacks",
    ),
    "a callback that is typed": (
        {"hydra/callbacks/x.yaml": "x:\n  _target_: evil_parts.evil\n"},
        ["hydra/callbacks=x"],
        "hydra/callbacks=x",
    ),
    "a log handler": (
        {
            "experiment/x.yaml": GLOBAL
            + "hydra:\n  job_logging:\n    version: 1\n    root:\n      handlers: [x]\n"
            + "    handlers:\n      x:\n        (): evil_parts.evil\n"
        },
        ["experiment=x"],
        "hydra.job_logging",
    ),
    "a log file": (
        {
            "experiment/x.yaml": GLOBAL
            + "hydra:\n  hydra_logging:\n    version: 1\n    root: {handlers: [x]}\n"
            + "    handlers:\n      x: {class: logging.FileHandler, filename: ../elsewhere/canary}\n"
        },
        ["experiment=x"],
        "hydra.hydra_logging",
    ),
    "another choice of logging": (
        {"evil.yaml": "defaults:\n  - /config\n  - override /hydra/job_logging: default\n"},
        ["--config-name", "evil"],
        "hydra.job_logging",
    ),
    "a launcher": (
        {"experiment/x.yaml": GLOBAL + "hydra:\n  launcher:\n    _target_: evil_parts.evil\n"},
        ["experiment=x", "-m", "seed=0,1"],
        "hydra.launcher",
    ),
    "a sweeper": (
        {"experiment/x.yaml": GLOBAL + "hydra:\n  sweeper:\n    _target_: evil_parts.evil\n"},
        ["experiment=x", "-m", "seed=0,1"],
        "hydra.sweeper",
    ),
    "overrides of the sweeper": (
        {"experiment/x.yaml": GLOBAL + "hydra:\n  sweeper:\n    params:\n      seed: 1,2\n"},
        ["experiment=x", "-m", "seed=0,1"],
        "hydra.sweeper.params",
    ),
    "the run folder": (
        {"evil.yaml": MAIN + "  run:\n    dir: ../elsewhere\n"},
        ["--config-name", "evil"],
        "hydra.run.dir",
    ),
    "the sweep folder": (
        {"evil.yaml": MAIN + "  sweep:\n    dir: ../../elsewhere\n"},
        ["-m", "seed=0,1", "--config-name", "evil"],
        "hydra.sweep.dir",
    ),
    "the folder of a job": (
        {"evil.yaml": MAIN + "  sweep:\n    subdir: ../../elsewhere\n"},
        ["-m", "seed=0,1", "--config-name", "evil"],
        "hydra.sweep.subdir",
    ),
    "Hydra's own folder": (
        {"evil.yaml": MAIN + "  output_subdir: ../../elsewhere\n"},
        ["--config-name", "evil"],
        "hydra.output_subdir",
    ),
    "the working directory": (
        {"evil.yaml": MAIN + "  job:\n    chdir: true\n"},
        ["--config-name", "evil"],
        "hydra.job.chdir",
    ),
    "the environment": (
        {"experiment/x.yaml": GLOBAL + "hydra:\n  job:\n    env_set:\n      ISTHMUS_TRUST: '1'\n"},
        ["experiment=x"],
        "hydra.job.env_set",
    ),
    "the mode": (
        {"experiment/x.yaml": GLOBAL + "hydra:\n  mode: MULTIRUN\n"},
        ["experiment=x"],
        "hydra.mode",
    ),
    "a search path": (
        {"evil.yaml": "defaults:\n  - /config\nhydra:\n  searchpath: [pkg://evil_parts]\n"},
        ["--config-name", "evil"],
        "hydra.",
    ),
    "a config in place of ours": (
        {"evil.yaml": MAIN + "  callbacks:\n    x:" + TOUCH},
        ["--config-name", "evil"],
        "hydra.callbacks",
    ),
    "one job of several": (
        {
            "experiment/x.yaml": GLOBAL + "hydra:\n  job:\n    env_set:\n      ISTHMUS_TRUST: '1'\n",
            "experiment/y.yaml": GLOBAL + "seed: 1\n",
        },
        ["-m", "seed=0,1", "experiment=y,x"],
        "hydra.job.env_set",
    ),
    "one job of a glob": (
        {
            "experiment/x9.yaml": GLOBAL + "hydra:\n  job:\n    env_set:\n      HOME: /\n",
            "experiment/x1.yaml": GLOBAL + "seed: 1\n",
        },
        ["-m", "experiment=glob(x*)"],
        "hydra.job.env_set",
    ),
    "two choices together": (
        {
            "experiment/x.yaml": GLOBAL + "defaults:\n  - override /model: y\n",
            "model/y.yaml": GLOBAL + "hydra:\n  verbose: true\n",
        },
        ["experiment=x"],
        "hydra.verbose",
    ),
    "a choice that leads out": (
        {
            "experiment/x.yaml": GLOBAL + "defaults:\n  - override /model: ../../elsewhere/y\n",
            "../elsewhere/y.yaml": GLOBAL + "seed: 1\n",
        },
        ["experiment=x"],
        "model=../../elsewhere/y",
    ),
    "a server to send the run to": (
        {"experiment/x.yaml": GLOBAL + "defaults:\n  - override /logger: [y]\n", "logger/y.yaml": "x:\n"
         "  _target_: isthmus.training.loggers.MLflow\n  experiment_name: x\n  tracking_uri: http://evil.example\n"},
        ["experiment=x"],
        "logger.x.tracking_uri=http://evil.example",
    ),
    "a run that is sent away": (
        {"experiment/x.yaml": WANDB + "logger:\n  wandb:\n    offline: no\n"},
        ["experiment=x"],
        "logger.wandb.offline=false",
    ),
    "a folder to download to": (
        {"experiment/x.yaml": FASHION + "data:\n  root: ../elsewhere\n"},
        ["experiment=x"],
        "data.root=../elsewhere",
    ),
    "a class": (
        {"loss/x.yaml": "_target_: evil_parts.Evil\n"},
        ["loss=x"],
        "loss._target_=evil_parts.Evil",
    ),
    "a class inside of a part": (
        {"experiment/x.yaml": GLOBAL + "optimizer:\n  lr:\n    x:" + TOUCH},
        ["experiment=x"],
        "optimizer.lr.x._target_=evil_parts.evil",
    ),
}  # fmt: skip


@functools.cache
def composed_once(section, overrides):
    return section(overrides)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Write a folder of configs; gives its path."""
    section = guard._ours
    monkeypatch.setattr(guard, "_ours", lambda typed: composed_once(section, tuple(typed)))
    monkeypatch.setattr(fashion_mnist, "DEBIAN", tmp_path / "nothing")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "nothing"))

    def write(files):
        for name, text in files.items():
            path = tmp_path / "configs" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path / "configs"

    return write


@pytest.mark.parametrize("name", ATTACKS)
def test_a_hostile_folder_of_configs(name, folder, refused, evil_parts):
    files, typed, says = ATTACKS[name]
    refused(
        "train",
        "--config-dir",
        folder(files),
        *typed,
        says=(says, "trust=true" if "=../" not in says else ""),
    )


@pytest.mark.parametrize("form", ["--config-path", "hydra.searchpath"])
def test_other_ways_to_name_the_folder(form, folder, refused, evil_parts):
    files, typed, _ = ATTACKS["a callback"]
    path = folder({**files, "config.yaml": "defaults:\n  - experiment: null\n"})
    named = [form, path] if form == "--config-path" else [f"hydra.searchpath=[file://{path}]"]
    refused("train", *named, *typed, says=("isthmus: hydra.",))


def test_a_config_that_is_rerun_is_a_pickle(tmp_path, refused, canary):
    import os
    import pickle

    class Touches:
        def __reduce__(self):
            return os.system, (f"touch {canary}",)

    (tmp_path / "config.pickle").write_bytes(pickle.dumps(Touches()))
    refused(
        "train",
        "--experimental-rerun",
        tmp_path / "config.pickle",
        says=("--experimental-rerun=", "unpickles"),
    )


def test_more_combinations_than_can_be_looked_at(folder, refused, monkeypatch):
    monkeypatch.setattr(guard, "MOST_JOBS", 3)
    path = folder({f"experiment/x{n}.yaml": GLOBAL + f"seed: {n}\n" for n in range(5)})
    refused(
        "train", "--config-dir", path, "-m", "experiment=x0,x1,x2,x3,x4", says=("--multirun", "trust=true")
    )
