"""Hydra's errors in our words: one line with key, value and fix."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from isthmus.cli.choices import groups
from isthmus.runs import BadInput
from isthmus.runs.compose import compose


@contextmanager
def explained(argv: Sequence[str]) -> Iterator[None]:
    """Turn what Hydra raises into `BadInput`.

    Args:
        argv: what was typed after `isthmus train`.
    """
    try:
        yield
    except MissingConfigException as error:
        raise _unknown_choice(error, argv) from error
    except (HydraException, OmegaConfBaseException) as error:
        raise _unknown_key(error, argv) from error


def _unknown_choice(error: MissingConfigException, argv: Sequence[str]) -> BadInput:
    group, _, choice = str(error.missing_cfg_file or "").rpartition("/")
    known = [str(option) for option in error.options or groups().get(group, {})]
    known = [option for option in known if not option.startswith("_")]
    if not group:
        return BadInput("config", choice, _first_line(error))
    nearest = difflib.get_close_matches(choice, known, n=1)
    hint = f"did you mean {group}={nearest[0]}? " if nearest else ""
    return BadInput(group, choice, f"there is no such choice; {hint}choices: {', '.join(known)}")


def _unknown_key(error: Exception, argv: Sequence[str]) -> BadInput:
    found = re.search(r"Could not override '([^']+)'", str(error)) or re.search(r"Key '([^']+)'", str(error))
    if found is None:
        typed = next((a for a in argv if a in str(error)), "overrides")
        key, _, value = typed.partition("=")
        return BadInput(key, value, _first_line(error))
    key = found.group(1).partition("@")[0]
    value = next((a.partition("=")[2] for a in argv if a.lstrip("+~").startswith(f"{key}=")), "")
    known = [*groups(), *_keys(compose())]
    if key in groups() or key in known:
        return BadInput(key, value, _first_line(error))
    nearest = difflib.get_close_matches(key, known, n=1)
    hint = f"did you mean {nearest[0]}?" if nearest else "`isthmus train --cfg job` prints them all"
    return BadInput(key, value, f"there is no such key; {hint}")


def _keys(cfg: DictConfig, prefix: str = "") -> list[str]:
    names = []
    for key in map(str, cfg):
        node: Any = cfg._get_node(key)
        names.append(f"{prefix}{key}")
        if OmegaConf.is_dict(node):
            names += _keys(node, f"{prefix}{key}.")
    return names


def _first_line(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error).strip().splitlines()[0]
