"""Locate the config folder and compose configs. Imports no torch."""

from __future__ import annotations

import os
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.resolvers import oc

import isthmus
from isthmus.common.run_names import NAME

CONFIG_NAME = "config"


def conf_dir() -> Path:
    """The folder of shipped configs: inside the installed package, or at the root of a checkout."""
    package = Path(isthmus.__file__).parent
    packaged = package / "conf"
    return packaged if packaged.is_dir() else package.parents[1] / "conf"


def experiment_name(choices: DictConfig) -> str:
    """The experiment's name, or else DATA_MODEL, without ``.`` and ``..`` parts: it becomes a folder name."""
    name = str(choices.experiment or f"{choices.data}_{choices.model}")
    return "/".join(part for part in name.split("/") if part.strip("."))


def folder_name(name: object, date: str) -> str:
    """The name that the user gave to the run, or the date with a random identifier."""
    if name is not None and NAME.fullmatch(str(name)):
        return str(name)
    return f"{date}_{uuid.uuid4().hex[:6]}"  # a wrong name is refused when the config is checked


def register_resolvers() -> None:
    """Register the resolvers that config.yaml uses."""
    # cached, so that all jobs of a sweep over models share one folder
    OmegaConf.register_new_resolver("isthmus.experiment", experiment_name, use_cache=True, replace=True)
    OmegaConf.register_new_resolver("isthmus.folder", folder_name, use_cache=True, replace=True)


def let_look_up_environment(allowed: bool) -> None:
    """Set whether configs may copy environment variables, which may be secrets, into a run's files."""
    resolver: Any = oc.env if allowed else _refused
    OmegaConf.register_new_resolver("oc.env", resolver, replace=True)


def _refused(name: Any, *default: Any) -> NoReturn:
    raise ValueError(
        f"looks up the environment's {name}, which may be a secret; type the value on the command line, "
        "or add trust=true if the configs are yours"
    )


def is_follower() -> bool:
    """Whether torchrun or Slurm started this process with a rank above 0."""
    environment = os.environ
    if "TORCHELASTIC_RUN_ID" in environment:
        return environment.get("RANK", "0") != "0"
    started = "SLURM_NTASKS" in environment and "SLURM_STEP_ID" in environment
    return started and environment.get("SLURM_PROCID", "0") != "0"


def compose(overrides: Sequence[str] = (), *, config_dirs: Sequence[str | Path] = ()) -> DictConfig:
    """The config that `isthmus train OVERRIDES` would run, without the hydra section.

    Args:
        overrides: as typed on the command line.
        config_dirs: folders with additional configs, searched first.
    """
    search = [f"hydra.searchpath=[{','.join(f'file://{Path(d).resolve()}' for d in config_dirs)}]"]
    return _composed([*(search if config_dirs else []), *overrides])


class Wanted(NamedTuple):
    """A run as `isthmus train` would make it.

    Attributes:
        cfg: the config, without the hydra section.
        path: the run folder.
        experiment: its name.
    """

    cfg: DictConfig
    path: Path
    experiment: str


def compose_run(overrides: Sequence[str]) -> Wanted:
    """The config, the folder and the experiment of `isthmus train OVERRIDES`."""
    cfg = _composed(overrides, return_hydra_config=True)
    path, experiment = Path(cfg.hydra.run.dir), experiment_name(cfg.hydra.runtime.choices)
    with open_dict(cfg):
        del cfg["hydra"]
    return Wanted(cfg, path, experiment)


def quoted(text: object) -> str:
    """Text in quotes, as the value of an override may be: Hydra reads any characters in it."""
    escaped = str(text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _composed(overrides: Sequence[str], **options: Any) -> DictConfig:
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir

    register_resolvers()
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return hydra_compose(CONFIG_NAME, overrides=list(overrides), **options)
