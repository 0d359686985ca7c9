"""`isthmus train GROUP=CHOICE --help`: every key of every choice, with its default and meaning."""

from __future__ import annotations

import re

import pytest
from omegaconf import OmegaConf

from isthmus.cli.key_help import keys_of
from isthmus.common.dotted_keys import flatten
from isthmus.runs.config.compose import compose, conf_dir
from isthmus.runs.config.hydra.choices import groups

from .lines import refused

CHOICES = [
    (group, choice)
    for group, choices in groups().items()
    if group not in ("model", "experiment", "callbacks", "logger", "regularizer")
    for choice in choices
]


@pytest.mark.parametrize(("group", "choice"), CHOICES)
def test_every_key_has_its_default_and_a_meaning(group, choice):
    cfg = compose([f"{group}={choice}"])
    wanted = flatten(OmegaConf.to_container(cfg[group]))
    wanted = {key: value for key, value in wanted.items() if "_target_" not in key}
    found = {key.name: key for key in keys_of(conf_dir() / group / f"{choice}.yaml")}
    assert set(wanted) <= set(found)
    for key, value in wanted.items():
        assert OmegaConf.create({"x": OmegaConf.from_dotlist([f"x={found[key].default}"]).x}).x == value
        assert found[key].meaning, f"{group}.{key} has no comment"


def test_the_choices_that_are_typed(here):
    said = here("train", "architecture=conv", "loss=huber", "--help").out
    assert re.search(r"architecture\.channels=\[32, 64\]\s+channels after each stage", said)
    assert "loss.delta=1.0" in said
    assert "usage:" not in said
    assert "usage: isthmus train" in here("train", "--help").out
    assert "did you mean conv?" in refused(here("train", "architecture=cnv", "--help"))
