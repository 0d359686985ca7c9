"""What is allowed: isthmus' own configs, what the person names, and everything where they say so."""

from __future__ import annotations

import os

import pytest
import yaml

from isthmus.common.errors import BadInput
from isthmus.runs.config.allowlist import check_targets, resolve
from isthmus.runs.config.compose import compose, conf_dir
from isthmus.runs.config.validation import check

OWN = """
from torch import nn
from isthmus.core.losses.base import Loss
from isthmus.core.losses.mse import MSE
from collections import OrderedDict
from os import system


class Own(MSE):
    pass


class Block:
    def __init__(self, *, size):
        self.size = size


class Holder(MSE):
    def __init__(self, *, block, reduction, output_activation):
        super().__init__(reduction=reduction, output_activation=output_activation)
        assert isinstance(block, Block) and block.size == 3


def function(*, reduction, output_activation):
    return Own(reduction=reduction, output_activation=output_activation)
"""
KEYS = {"reduction": "sum", "output_activation": "sigmoid"}
SHIPPED = sorted(path for path in conf_dir().glob("*/*.yaml") if "_target_" in path.read_text())


@pytest.fixture
def own_parts(tmp_path, monkeypatch):
    """A package of the person's."""
    (tmp_path / "code" / "own_parts").mkdir(parents=True)
    (tmp_path / "code" / "own_parts" / "__init__.py").write_text("from own_parts.inner import *\n")
    (tmp_path / "code" / "own_parts" / "inner.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path / "code"))


def test_a_run_that_nobody_changed_is_opened(run, command):
    said = command("evaluate", run, "--json")
    assert said.code == 0, said.err
    assert '"same_data": true' in said.out


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_shipped_choice_is_allowed(path):
    content = yaml.safe_load(path.read_text())
    check_targets({path.parent.name: content})
    parts = {"": content} if "_target_" in content else content
    for name, keys in parts.items():
        assert isinstance(resolve(f"{path.parent.name}.{name}".strip("."), keys["_target_"]), type)


@pytest.mark.parametrize("name", ["Adam", "AdamW", "SGD", "RMSprop", "NAdam", "LBFGS"])
@pytest.mark.parametrize("form", ["torch.optim.{}", "torch.optim.{lower}.{}"])
def test_every_optimizer_of_torch_is_allowed(name, form):
    from torch.optim import Optimizer

    assert issubclass(resolve("optimizer", form.format(name, lower=name.lower()), Optimizer), Optimizer)


@pytest.mark.parametrize("allow", ["own_parts", "own_parts.inner", "mine, own_parts ,yours"])
@pytest.mark.parametrize("target", ["own_parts.inner.Own", "own_parts.Own"])
def test_a_package_that_the_person_allows(allow, target, run, change, command, own_parts, monkeypatch):
    change("loss", {"_target_": target, **KEYS})
    monkeypatch.setenv("ISTHMUS_ALLOW", allow)
    said = command("evaluate", run)
    allowed = target.startswith(allow) or "," in allow
    assert said.code == (0 if allowed else 2), said.err


def test_parts_of_an_allowed_part_are_allowed(run, change, command, refused, own_parts, monkeypatch):
    change(
        "loss", {"_target_": "own_parts.Holder", "block": {"_target_": "own_parts.Block", "size": 3}, **KEYS}
    )
    refused("evaluate", run, says=("loss._target_=own_parts.Holder",))
    monkeypatch.setenv("ISTHMUS_ALLOW", "own_parts")
    said = command("evaluate", run)
    assert said.code == 0, said.err


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("own_parts.inner.nn.Linear", "cannot be found"),
        ("own_parts.OrderedDict", "is another name for collections.OrderedDict"),
        ("own_parts.Loss", "is another name for isthmus.core.losses.base.Loss"),
        ("own_parts.Block", "is not a Loss"),
        ("own_parts.function", "is not a class"),
        ("own_parts.system", "is not a class"),
        ("own_parts.nothing", "cannot be found"),
        ("own_parts_too.Own", "ISTHMUS_ALLOW=own_parts_too"),
        ("own.Own", "ISTHMUS_ALLOW=own"),
    ],
)
def test_an_allowed_package_lends_nothing_else(target, says, run, change, refused, own_parts, monkeypatch):
    change("loss", {"_target_": target, **KEYS})
    monkeypatch.setenv("ISTHMUS_ALLOW", "own_parts")
    refused("evaluate", run, says=(f"loss._target_={target}", says))


def test_trust_runs_anything(run, change, command, own_parts):
    change("loss", {"_target_": "own_parts.function", **KEYS})
    assert command("evaluate", run).code == 2
    assert command("evaluate", run, "trust=false").code == 2
    said = command("evaluate", run, "trust=true")
    assert said.code == 0, said.err
    assert os.environ["ISTHMUS_TRUST"] == "1"  # for the processes that it starts
    assert command("evaluate", run, "trust=false").code == 2  # what is typed last counts


def test_trust_lets_the_attack_happen(run, change, command, evil_parts, canary):
    change("loss", {"_target_": "evil_parts.Evil", **KEYS})
    assert command("evaluate", run, "trust=true").code == 0
    assert canary.exists()


@pytest.mark.filterwarnings("ignore:Callback NoneType")  # what the attack makes is no callback
def test_a_folder_of_configs_is_trusted(tmp_path, command, evil_parts, canary):
    (tmp_path / "configs" / "experiment").mkdir(parents=True)
    (tmp_path / "configs" / "experiment" / "x.yaml").write_text(
        "# @package _global_\nhydra:\n  callbacks:\n    x:\n      _target_: evil_parts.evil\n"
    )
    typed = ("train", "--config-dir", tmp_path / "configs", "experiment=x", "latent.dim=0")
    command(*typed, "trust=true")
    assert canary.exists()


def test_what_is_typed_for_hydra_is_done(tmp_path, command):
    (tmp_path / "configs" / "experiment").mkdir(parents=True)
    (tmp_path / "configs" / "experiment" / "x.yaml").write_text("# @package _global_\nlatent:\n  dim: 7\n")
    typed = (
        "hydra.run.dir=../mine",
        "hydra.job.chdir=false",
        "hydra.verbose=false",
        "hydra/job_logging=none",
    )
    said = command("train", "--config-dir", tmp_path / "configs", "experiment=x", *typed, "--cfg", "job")
    assert said.code == 0, said.err
    assert "dim: 7" in said.out


@pytest.mark.parametrize("value", ["yes", "1", "", "please"])
def test_trust_is_true_or_false(value, run, refused):
    refused("evaluate", run, f"trust={value}", says=(f"trust={value}", "must be true or false"))


def test_checking_names_imports_nothing(monkeypatch):
    import importlib

    def fail(name):
        raise AssertionError(name)

    cfg = compose(["model=vae"])
    monkeypatch.setattr(importlib, "import_module", fail)
    check(cfg)
    cfg.loss._target_ = "evil.Loss"
    with pytest.raises(BadInput):
        check(cfg)
