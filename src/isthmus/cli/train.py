"""`isthmus train`: compose a config with Hydra and train it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isthmus.cli.command import Command
from isthmus.cli.key_help import chosen, describe, keys_of
from isthmus.cli.tables import print_run
from isthmus.common.atomic_files import discard_empty
from isthmus.common.messages import did_you_mean
from isthmus.runs import BadInput, RunFailed
from isthmus.runs.config.compose import (
    CONFIG_NAME,
    conf_dir,
    experiment_name,
    is_follower,
    register_resolvers,
)
from isthmus.runs.config.hydra.choices import config_dirs, groups, summary
from isthmus.runs.errors import Carried, interruption_behind
from isthmus.runs.execution import signals

if TYPE_CHECKING:
    from omegaconf import DictConfig

HELP = """usage: isthmus train [OVERRIDE ...] [--multirun] [--config-dir DIR] [--cfg job]

Trains an autoencoder. An override is GROUP=CHOICE or KEY=VALUE:

  isthmus train data=fashion_mnist architecture=conv model=vae loss=bce latent.dim=16
  isthmus train experiment=textbook trainer.max_epochs=5
  isthmus train noise=gaussian noise.std=0.5 seed=1
  isthmus train regularizer=[kl,l1_activity] latent=gaussian
  isthmus train --multirun latent.dim=2,8,32         one run for each value

  --cfg job          print the composed config and stop; --resolve fills in what refers to other keys
  --config-dir DIR   a folder with your own choices, laid out as below: DIR/architecture/mine.yaml
  --multirun, -m     train every combination of values that are separated by commas
  --hydra-help       what else Hydra offers
  GROUP=CHOICE --help   the keys of a choice: isthmus train architecture=conv --help

Groups and their choices (* is the default):
"""


def run(argv: Sequence[str]) -> int:
    """Train; returns the exit code."""
    if any(argument in ("-h", "--help") for argument in argv):
        print(help_text(argv))
        return 0
    import hydra

    from isthmus.cli.hydra.config_files import check_config_files
    from isthmus.cli.hydra.guard import check_hydra_section
    from isthmus.cli.hydra.sweep_folder import release
    from isthmus.runs.config.hydra.errors import explained, overrides_last

    for folder in config_dirs(argv):
        if not folder.is_dir():
            raise BadInput("--config-dir", folder, "there is no such folder")
        check_config_files(folder)
    arguments = overrides_last(argv)
    register_resolvers()
    # Without it, Hydra prints errors itself and exits with 1.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    # Only rank 0 creates the run folder.
    sys.argv = ["isthmus train", *arguments, *(["hydra.run.dir=."] if is_follower() else [])]
    signals.leave_at_once(cleanup=_discard_folder)
    try:
        with explained(argv):
            check_hydra_section(arguments, _task)
            hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name=CONFIG_NAME)(_task)()
    except Carried as carried:
        raise carried.error from None
    finally:
        release()
    return 0


def _task(cfg: DictConfig) -> None:
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode
    from omegaconf import OmegaConf

    from isthmus.runs.config.validation import check

    hydra_cfg = HydraConfig.get()
    try:
        signals.check_late()
        check(cfg)  # before importing torch, which takes seconds
        from isthmus.runs.train import train

        signals.unwind()
        folder = train(
            cfg,
            None if is_follower() else _folder(hydra_cfg),
            overrides=hydra_cfg.overrides.task,
            experiment=experiment_name(OmegaConf.create(hydra_cfg.runtime.choices)),
        )
    except BaseException as error:
        if not isinstance(error, RunFailed):  # after which another folder may have the name
            _discard_folder()
        if stop := interruption_behind(error):
            raise stop from None
        if not isinstance(error, Exception):
            raise
        # sweep jobs may run in other processes; Hydra itself returns their errors
        if hydra_cfg.mode == RunMode.MULTIRUN:
            raise
        raise Carried(error) from error
    finally:
        signals.leave_at_once(cleanup=_discard_folder)  # Hydra creates the next sweep job's folder
    if not is_follower():
        print_run(folder)


def _folder(hydra_cfg: Any) -> Path:
    """The run folder, read unresolved: OmegaConf would interpolate a folder called ${NAME}."""
    from omegaconf import OmegaConf

    runtime: Any = OmegaConf.to_container(hydra_cfg.runtime, resolve=False)
    return Path(runtime["output_dir"])


def _discard_folder() -> None:
    """Remove the run folder if it is empty: Hydra creates it before the run starts."""
    from hydra.core.hydra_config import HydraConfig

    if is_follower() or not HydraConfig.initialized():
        return
    hydra_cfg = HydraConfig.get()
    path = _folder(hydra_cfg)
    chosen = any(override.startswith("hydra.run.dir") for override in hydra_cfg.overrides.hydra)
    discard_empty(path, *([] if chosen else path.parents[:2]))


def help_text(argv: Sequence[str]) -> str:
    """The text of `isthmus train --help`; with the keys of the choices that are typed before it.

    Includes the choices in --config-dir folders.
    """
    roots = (*config_dirs(argv), conf_dir())
    known = groups(config_dirs(argv))
    sections = []
    for group, choice in chosen(argv, list(known)):
        paths = [path for root in roots if (path := root / group / f"{choice}.yaml").is_file()]
        if not paths:
            hint = did_you_mean(choice, known[group]) or f"there are {', '.join(known[group])}"
            raise BadInput(group, choice, f"there is no such choice; {hint}")
        lines = [f"{group}={choice}: {summary(paths[0])}", *describe(group, paths[0])]
        sections.append("\n".join(lines))
    if sections:
        return "\n\n".join(sections)
    defaults = _defaults()
    lines = [HELP]
    for group, choices in known.items():
        lines.append(f"{group}")
        for choice, what in choices.items():
            mark = "*" if choice in defaults.get(group, ()) else " "
            lines.append(f"  {mark} {choice:<16} {what}")
    return "\n".join(lines)


def _defaults(path: Path = Path(f"{CONFIG_NAME}.yaml")) -> dict[str, list[str]]:
    """Group -> choices in the defaults list of a YAML file of conf/, for the config itself or a preset."""
    import yaml

    content = yaml.safe_load((conf_dir() / path).read_text(encoding="utf-8"))
    entries = [entry for entry in content.get("defaults", ()) if isinstance(entry, dict)]
    chosen = {group.rpartition("/")[2]: choice for entry in entries for group, choice in entry.items()}
    return {group: choice if isinstance(choice, list) else [choice] for group, choice in chosen.items()}


def _choices(before: Sequence[str]) -> dict[str, list[str]]:
    """Group -> choices of a run with these overrides; presets set other groups, and what is typed wins."""
    known = groups()
    typed: dict[str, list[str]] = {}
    for group, choice in chosen(before, list(known)):
        typed.setdefault(group, []).append(choice)
    presets = [(group, choice) for group in ("experiment", "model") for choice in typed.get(group, ())]
    choices: dict[str, list[str]] = {}
    while presets:
        group, choice = presets.pop(0)
        if choice in known[group]:
            found = _defaults(Path(group, f"{choice}.yaml"))
            presets += [("model", name) for name in found.get("model", ()) if "model" not in typed]
            choices = {**found, **choices}  # an experiment wins over its model
    return {**_defaults(), **choices, **typed}


def _overrides(typed: str, before: Sequence[str]) -> Iterator[str]:
    key, equals, _ = typed.partition("=")
    known = groups()
    if equals:
        yield from (f"{key}={choice}" for choice in known.get(key, ()))
        return
    group = key.partition(".")[0]
    if "." in key and group in known:
        yield from (f"{group}.{name}=" for name in _keys_of(group, _choices(before).get(group, ())))
        return
    yield from ("seed=", "name=")
    for name in known:
        yield f"{name}="
        yield f"{name}."


def _keys_of(group: str, choices: Sequence[str]) -> list[str]:
    """The keys of the choices that a run would have."""
    paths = [conf_dir() / group / f"{choice}.yaml" for choice in choices]
    return [key.name for path in paths if path.is_file() for key in keys_of(path) if key.default]


COMMAND = Command(
    summary="train an autoencoder composed from config: isthmus train latent.dim=8",
    run=run,
    options=("--cfg", "--config-dir", "--help", "--multirun", "--resolve"),
    words=_overrides,
    opens_configs=True,
    trains=True,
)
