"""A config as one level of dotted keys, and against the defaults. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf

from isthmus.core.errors import BadInput
from isthmus.runs.compose import compose
from isthmus.runs.folder import RunFolder

LONGEST = 100_000  # characters of overrides.yaml that are read


def flat(cfg: DictConfig) -> dict[str, Any]:
    """Dotted keys to plain values. References to other keys stay as written, so that nothing is looked up."""
    content: Any = OmegaConf.to_container(cfg, resolve=False)
    return dict(_flat(content, ""))


def changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """The keys whose values differ: both values, None where there is no such key."""
    return {
        key: (before.get(key), after.get(key))
        for key in dict.fromkeys((*before, *after))
        if before.get(key) != after.get(key)
    }


def against_defaults(cfg: DictConfig) -> dict[str, tuple[Any, Any]]:
    """The keys of `cfg` that `isthmus train` would set otherwise: the default, and the value here."""
    return changed(flat(compose()), flat(cfg))


def typed_overrides(folder: RunFolder) -> list[str]:
    """What the person typed, as overrides.yaml has it; empty where there is none.

    Raises:
        BadInput: where it is damaged.
    """
    if not folder.overrides.is_file():
        return []
    try:
        with folder.overrides.open(encoding="utf-8") as file:
            typed = yaml.safe_load(file.read(LONGEST))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise BadInput("RUN", folder.path, f"its {folder.overrides.name} cannot be read") from error
    return [override for override in typed if isinstance(override, str)] if isinstance(typed, list) else []


def _flat(content: Mapping[Any, Any], prefix: str) -> list[tuple[str, Any]]:
    items: list[tuple[str, Any]] = []
    for key, value in content.items():
        items += _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else [(f"{prefix}{key}", value)]
    return items
