"""Convert Hydra's errors to `BadInput`: one line with key, value and fix."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path
from typing import Any

import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from isthmus.common.errors import LONGEST_FIX, BadInput
from isthmus.common.messages import did_you_mean, first_line
from isthmus.runs.config.compose import Wanted, compose, compose_run, conf_dir, quoted
from isthmus.runs.config.hydra.choices import config_dirs, groups
from isthmus.runs.config.hydra.misread import misread_by_hydra
from isthmus.runs.config.keys import flat

FREE_TEXT = ("data.train_where", "data.path", "data.val_path", "data.test_path", "data.date_format")
MOST_MEANT = 3  # keys that a message suggests


def overrides_last(argv: Sequence[str]) -> list[str]:
    """`argv` in the order that Hydra expects: options, then overrides.

    Raises:
        BadInput: for an unknown option.
    """
    from hydra._internal.utils import get_args_parser

    known, rest = get_args_parser().parse_known_intermixed_args(argv)
    if rest:
        raise BadInput("option", rest[0], "there is no such option; see `isthmus train --help`")
    options = (argument for argument in argv if argument not in known.overrides)
    return [*options, *map(_quoted, known.overrides)]


def _quoted(override: str) -> str:
    """An override of a key that takes any text, in the quotes that Hydra needs for some characters."""
    key, _, value = override.partition("=")
    if key not in FREE_TEXT:
        return override
    try:
        OverridesParser.create().parse_override(override)
    except (HydraException, ValueError):
        return f"{key}={quoted(value)}"
    return override


def composed(overrides: Sequence[str]) -> Wanted:
    """The run that `isthmus train OVERRIDES` would make.

    Raises:
        BadInput: an override is invalid.
    """
    arguments = [_quoted(override) for override in overrides]
    with explained(arguments):
        return compose_run(arguments)


@contextmanager
def explained(argv: Sequence[str]) -> Iterator[None]:
    """Turn what Hydra raises into `BadInput`.

    Args:
        argv: the arguments of `isthmus train`.
    """
    _check_chosen(argv)
    try:
        yield
    except MissingConfigException as error:
        raise _unknown_choice(error, argv) from error
    except OverrideParseException as error:
        raise _unreadable(error) from error
    except (HydraException, OmegaConfBaseException) as error:
        raise _wrong_key(error, argv) from error
    except (yaml.YAMLError, RecursionError) as error:
        raise BadInput("--config-dir", " ".join(map(str, config_dirs(argv))), _root_line(error)) from error
    except OSError as error:
        if error.filename is None:
            raise
        raise BadInput(
            "hydra.run.dir", error.filename, f"cannot be made ({error.strerror}); give another folder"
        ) from error
    except ValueError as error:
        if "Config group override" in str(error):
            raise _no_choice(argv) from error
        if "integer string conversion" in str(error):
            raise _endless_number(argv) from error
        if misread := misread_by_hydra(config_dirs(argv)):
            raise misread from error
        raise


def _unknown_choice(error: MissingConfigException, argv: Sequence[str]) -> BadInput:
    group, _, choice = str(error.missing_cfg_file or "").rpartition("/")
    known = [str(option) for option in error.options or groups(config_dirs(argv)).get(group, {})]
    known = [option for option in known if not option.startswith("_")]
    if not group:
        return BadInput("config", choice, _root_line(error))
    hint = did_you_mean(choice, known, prefix=f"{group}=")
    choices = f"{hint} choices: {', '.join(known)}".lstrip()
    return BadInput(group, choice, f"there is no such choice; {choices}")


def _check_chosen(argv: Sequence[str]) -> None:
    """Refuse choices that are not names: Hydra accepts some of them and fails on others."""
    known, parser = groups(config_dirs(argv)), OverridesParser.create()
    for argument in argv:
        group, _, value = argument.partition("=")
        if group not in known or not value:
            continue
        try:
            override = parser.parse_override(argument)
        except (HydraException, ValueError):
            continue  # Hydra will not read it either
        if override.is_sweep_override():
            continue
        chosen = override.value()
        names = chosen if isinstance(chosen, list) and chosen else [chosen]
        if not all(isinstance(name, str) and "${" not in name for name in names):
            raise BadInput(group, value, f"must be one of {', '.join(known[group])}")


def _no_choice(argv: Sequence[str]) -> BadInput:
    """The error for a group set to a number, null or nothing."""
    known = groups(config_dirs(argv))
    for argument in argv:
        group, equals, value = argument.partition("=")
        if equals and value not in known.get(group, (value,)):
            return BadInput(group, value, f"must be one of {', '.join(known[group])}")
    nameless = next((argument for argument in argv if argument.startswith("=")), " ".join(argv))
    return BadInput("override", nameless, "lacks its key; write KEY=VALUE or GROUP=CHOICE")


def _endless_number(argv: Sequence[str]) -> BadInput:
    """The error for an integer beyond Python's limit of a few thousand digits."""
    typed = next((argument for argument in argv if re.search(r"[\d_]{4301}", argument)), None)
    key, _, value = typed.partition("=") if typed else ("--config-dir", "", str(config_dirs(argv)[0]))
    return BadInput(key, value, "has a number of more digits than can be read")


def _unreadable(error: OverrideParseException) -> BadInput:
    key, equals, value = error.override.partition("=")
    if not equals:
        return BadInput(key, "", "has no value; an override is KEY=VALUE or GROUP=CHOICE")
    return BadInput(
        key, value, "cannot be read; lists are [1,2], and text with special characters is '\"quoted\"'"
    )


def _wrong_key(error: Exception, argv: Sequence[str]) -> BadInput:
    if several := re.search(r"Ambiguous value for argument '([^=']+)=(.+)'", str(error)):
        key, value = several.groups()
        fix = "has several values; add --multirun for a run of each"
        if isinstance(OmegaConf.select(_composed(argv), key), ListConfig):
            fix += f", or write {key}=[{value}]"
        return BadInput(key, value, fix)
    found = re.search(r"Could not override '([^']+)'", str(error)) or re.search(r"Key '([^']+)'", str(error))
    if found is None:
        typed = next((a for a in argv if a in str(error)), "overrides")
        key, _, value = typed.partition("=")
        reason = _root_line(error)
        if "Cannot merge" in reason:
            reason = "has another type: a list stays a list, and a group stays a group"
        return BadInput(key, value, reason)
    key = found.group(1).partition("@")[0]
    value = next((a.partition("=")[2] for a in argv if a.lstrip("+~").startswith(f"{key}=")), "")
    known = [*groups(config_dirs(argv)), *_keys(_composed(argv))]
    if key in known:
        absent = re.search(r"Key '([^']+)' is not in struct", _root_line(error))
        reason = f"there is no key {absent.group(1)} in {key}" if absent else _root_line(error)
        return BadInput(key, value, reason)
    if elsewhere := _choices_with(key, argv):
        group = key.partition(".")[0]
        return BadInput(
            key, value, f"the chosen {group} has no such key; it is one of {group}={', '.join(elsewhere)}"
        )
    hint = (
        _same_word(key, known)
        or did_you_mean(key, known)
        or _of_other_choice(key, argv)
        or "`isthmus train --cfg job` prints them all"
    )
    return BadInput(key, value, f"there is no such key; {hint}")


def _of_other_choice(key: str, argv: Sequence[str]) -> str:
    """The groups that have a choice with a key of this name; "" if none has."""
    if "." in key:
        return ""
    found = {group: _choices_with(f"{group}.{key}", argv) for group in groups(config_dirs(argv))}
    said = [f"{group}.{key} of {group}={' or '.join(choices)}" for group, choices in found.items() if choices]
    return f"there is {', '.join(said)}" if said else ""


def _same_word(key: str, known: Sequence[str]) -> str:
    """A question with the keys whose last part is `key`, or has it among its words; "" if there are none."""
    last = {name: name.rpartition(".")[2] for name in known if "." in name}
    same = [name for name, part in last.items() if part == key]
    same = same or [name for name, part in last.items() if key in part.split("_") and "callbacks" not in name]
    return f"did you mean {' or '.join(sorted(same)[:MOST_MEANT])}?" if same else ""


def _composed(argv: Sequence[str]) -> DictConfig:
    """The config with the choices in `argv`, or with the defaults if these cannot be composed."""
    folders = config_dirs(argv)
    choices = [argument for argument in argv if argument.partition("=")[0] in groups(folders)]
    try:
        return compose(choices, config_dirs=folders)
    except (HydraException, OmegaConfBaseException):
        return compose()


def _choices_with(key: str, argv: Sequence[str]) -> list[str]:
    """The choices of a key's group that have it."""
    group, _, rest = key.partition(".")
    roots = (conf_dir(), *config_dirs(argv))
    return [
        choice
        for choice in groups(config_dirs(argv)).get(group, ())
        if rest and any(_has(root / group / f"{choice}.yaml", rest.split(".")) for root in roots)
    ]


def _has(path: Path, key: list[str]) -> bool:
    if not path.is_file():
        return False
    content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    shared = [name for name in content.get("defaults", ()) if isinstance(name, str) and name != "_self_"]
    inner: Any = content
    for name in key:
        inner = inner.get(name, _ABSENT) if isinstance(inner, dict) else _ABSENT
    return inner is not _ABSENT or any(_has(path.with_name(f"{name}.yaml"), key) for name in shared)


_ABSENT = object()


def _keys(cfg: DictConfig) -> set[str]:
    """All dotted keys, those of groups too."""
    return {name for key in flat(cfg) for name in accumulate(key.split("."), "{}.{}".format)}


def _root_line(error: BaseException) -> str:
    """The first line of the error that caused `error`."""
    while error.__cause__ is not None:
        error = error.__cause__
    return first_line(error, LONGEST_FIX)
