"""`isthmus train`: compose a config with Hydra and train it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isthmus.cli.choices import config_dirs, groups
from isthmus.cli.command import Command
from isthmus.cli.tables import print_run
from isthmus.common.atomic_files import discard_empty
from isthmus.common.dotted_keys import flatten
from isthmus.runs import BadInput, RunFailed
from isthmus.runs.config.compose import (
    CONFIG_NAME,
    conf_dir,
    experiment_name,
    is_follower,
    register_resolvers,
)
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

Groups and their choices (* is the default):
"""


def run(argv: Sequence[str]) -> int:
    """Train; returns the exit code."""
    if any(argument in ("-h", "--help") for argument in argv):
        print(help_text(argv))
        return 0
    import hydra

    from isthmus.cli.hydra.config_files import check_config_files
    from isthmus.cli.hydra.errors import explained, overrides_last
    from isthmus.cli.hydra.guard import check_hydra_section
    from isthmus.cli.hydra.sweep_folder import release

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
    """The text of `isthmus train --help`; includes the choices in --config-dir folders."""
    defaults = _defaults()
    lines = [HELP]
    for group, choices in groups(config_dirs(argv)).items():
        lines.append(f"{group}")
        for choice, what in choices.items():
            mark = "*" if choice in defaults.get(group, ()) else " "
            lines.append(f"  {mark} {choice:<16} {what}")
    return "\n".join(lines)


def _defaults() -> dict[str, list[str]]:
    import yaml

    entries = yaml.safe_load((conf_dir() / f"{CONFIG_NAME}.yaml").read_text(encoding="utf-8"))["defaults"]
    chosen = {
        group: choice for entry in entries if isinstance(entry, dict) for group, choice in entry.items()
    }
    return {group: choice if isinstance(choice, list) else [choice] for group, choice in chosen.items()}


def _overrides(typed: str) -> Iterator[str]:
    key, equals, _ = typed.partition("=")
    known = groups()
    if equals:
        yield from (f"{key}={choice}" for choice in known.get(key, ()))
        return
    group = key.partition(".")[0]
    if "." in key and group in known:
        yield from (f"{group}.{name}=" for name in _keys_of(group))
        return
    yield "seed="
    for name in known:
        yield f"{name}="
        yield f"{name}."


def _keys_of(group: str) -> set[str]:
    import yaml

    found: set[str] = set()
    for path in (conf_dir() / group).glob("*.yaml"):
        content = yaml.load(path.read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        found |= {key for key in flatten(content or {}) if key.rpartition(".")[2][:1] != "_"}
    return found - {"defaults"}


COMMAND = Command(
    summary="train an autoencoder composed from config: isthmus train latent.dim=8",
    run=run,
    options=("--cfg", "--config-dir", "--help", "--multirun", "--resolve"),
    words=_overrides,
    opens_configs=True,
    trains=True,
)
