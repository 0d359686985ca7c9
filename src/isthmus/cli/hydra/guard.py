"""Refuse config folders that configure Hydra itself.

Hydra composes its own section beside the config of a run, and acts on it before any run starts: it creates
the callbacks, launcher and sweeper named there, and the log handlers (a handler can be any callable), and
writes to the folders given there. See https://hydra.cc/docs/configure_hydra/intro.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from isthmus.common.dotted_keys import flatten
from isthmus.runs import BadInput
from isthmus.runs.config.allowlist import trusted
from isthmus.runs.config.compose import CONFIG_NAME, conf_dir, let_look_up_environment
from isthmus.runs.config.destinations import check_opened

if TYPE_CHECKING:
    from hydra._internal.config_loader_impl import ConfigLoaderImpl
    from hydra.core.override_parser.types import Override
    from omegaconf import DictConfig

# keys that Hydra fills in itself
FILLED_IN = ("runtime.", "overrides.", "job.name", "job.override_dirname", "job.config_name")
SEARCH_PATH = "hydra.searchpath"
MOST_JOBS = 1000
FIX = (
    "a config must not set Hydra itself, which can run anyone's code and write anywhere; type it on the "
    "command line, or add trust=true if the configs are yours"
)


def check_hydra_section(arguments: Sequence[str], task: Callable[..., Any]) -> None:
    """Raise `BadInput` if configs from outside isthmus configure Hydra. Typed overrides may.

    Args:
        arguments: the arguments that Hydra will parse.
        task: the function that Hydra will run; Hydra resolves relative paths against its file.
    """
    let_look_up_environment(True)
    if trusted():
        return
    from hydra._internal.utils import get_args_parser

    options = get_args_parser().parse_args(arguments)
    if options.experimental_rerun:
        raise BadInput(
            "--experimental-rerun",
            options.experimental_rerun,
            "unpickles the file, which can run anyone's code; use isthmus reproduce RUN, or add trust=true",
        )
    searched = any(override.partition("=")[0].lstrip("+") == SEARCH_PATH for override in options.overrides)
    if not (searched or options.config_dir or options.config_path or options.config_name):
        return
    let_look_up_environment(False)
    ours = _ours(options.overrides)
    for cfg in _jobs(options, task):
        _check_section(_flat(cfg.hydra), ours, searched=searched)
        _check_choices(cfg.hydra.runtime.choices)
        check_opened(cfg, options.overrides)


def _check_section(theirs: Mapping[str, Any], ours: Mapping[str, Any], *, searched: bool) -> None:
    for key in dict.fromkeys((*theirs, *ours)):
        filled_in = key.startswith(FILLED_IN) or (searched and f"hydra.{key}" == SEARCH_PATH)
        if theirs.get(key) != ours.get(key) and not filled_in:
            raise BadInput(f"hydra.{key}", theirs.get(key), FIX)


def _check_choices(choices: Mapping[str, Any]) -> None:
    """Refuse choices that lead out of their folder: choice names become part of the run folder's name."""
    for group, choice in choices.items():
        path = PurePath(str(choice))
        if path.is_absolute() or ".." in path.parts:
            raise BadInput(str(group), choice, "leads out of its group's folder; give the name of a choice")


def _ours(overrides: Sequence[str]) -> dict[str, Any]:
    """The hydra section of isthmus' own configs with the typed overrides of Hydra."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    parsed = OverridesParser.create().parse_overrides(list(overrides))
    own = [each for each in parsed if each.key_or_group.partition("/")[0].partition(".")[0] == "hydra"]
    typed = [each for each in own if each.key_or_group != SEARCH_PATH]
    try:
        cfg = _load(_loader(str(conf_dir()), None), CONFIG_NAME, [str(each.input_line) for each in typed])
    except HydraException as error:
        chosen = next((each for each in typed if "/" in each.key_or_group), None)
        if chosen is None:
            raise
        raise BadInput(
            chosen.key_or_group,
            chosen.get_value_element_as_str(),
            "is not one of Hydra's own choices, and what a config sets of Hydra can run anyone's code; add "
            "trust=true if it is yours",
        ) from error
    return _flat(cfg.hydra)


def _jobs(options: Any, task: Callable[..., Any]) -> Iterator[DictConfig]:
    """The config of each job: all combinations of group choices, and the first value of other keys."""
    from hydra._internal.utils import detect_calling_file_or_module_from_task_function
    from hydra.core.override_parser.overrides_parser import OverridesParser

    root = options.config_path
    if root is None:
        root = str(conf_dir())
    elif "://" not in root and not os.path.isabs(root):
        file, _ = detect_calling_file_or_module_from_task_function(task)
        root = os.path.join(os.path.dirname(str(file)), root)
    loader = _loader(root, options.config_dir)
    name = options.config_name or CONFIG_NAME
    _check_search_path(loader, name)
    typed = OverridesParser.create(config_loader=loader).parse_overrides(options.overrides)
    swept = [override for override in typed if override.is_sweep_override()]
    if swept:
        yield _load(loader, name, options.overrides, several=True)
    values = [_values(loader, override) for override in swept]
    fixed = [str(override.input_line) for override in typed if not override.is_sweep_override()]
    for count, chosen in enumerate(itertools.product(*values)):
        if count == MOST_JOBS:
            raise BadInput(
                "--multirun",
                f"{count} and more",
                "are too many combinations of choices to look for one that sets Hydra itself; add trust=true "
                "if the configs are yours",
            )
        yield _load(loader, name, [*fixed, *chosen])


def _check_search_path(loader: ConfigLoaderImpl, name: str) -> None:
    """Refuse a search path in a config: composing would import the packages that it names."""
    from omegaconf import OmegaConf

    loaded = loader.repository.load_config(name)
    path = OmegaConf.select(loaded.config, SEARCH_PATH) if loaded else None
    if path is not None:
        raise BadInput(SEARCH_PATH, path, FIX)


def _values(loader: ConfigLoaderImpl, override: Override) -> list[str]:
    key = override.get_key_element()
    values = [f"{key}={value}" for value in override.sweep_string_iterator()]
    return values if loader.repository.group_exists(override.key_or_group) else values[:1]


def _loader(root: str, config_dir: str | None) -> ConfigLoaderImpl:
    from hydra import version
    from hydra._internal.config_loader_impl import ConfigLoaderImpl
    from hydra._internal.utils import create_config_search_path
    from hydra.core.config_search_path import SearchPathQuery
    from hydra.core.utils import setup_globals

    version.setbase("1.3")
    setup_globals()
    path = create_config_search_path(root)
    if config_dir is not None:
        path.prepend(
            "command-line", f"file://{os.path.abspath(config_dir)}", SearchPathQuery(provider="schema")
        )
    return ConfigLoaderImpl(path)


def _load(
    loader: ConfigLoaderImpl, name: str, overrides: Sequence[str], *, several: bool = False
) -> DictConfig:
    from hydra.types import RunMode

    mode = RunMode.MULTIRUN if several else RunMode.RUN
    return loader.load_configuration(name, list(overrides), run_mode=mode)


def _flat(section: DictConfig) -> dict[str, Any]:
    """Dotted keys to values, interpolations unresolved."""
    from omegaconf import OmegaConf

    content: Any = OmegaConf.to_container(section, resolve=False)
    return flatten(content)
