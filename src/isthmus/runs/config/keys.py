"""A config as one level of dotted keys, and against the defaults. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf

from isthmus.common.errors import BadInput, cut
from isthmus.runs.config.compose import compose
from isthmus.runs.folder.run_folder import RunFolder
from isthmus.runs.folder.untrusted import read_strings

NEUTRAL = (
    *("data.path", "data.root", "data.labels", "data.in_memory", "data.num_workers", "data.on_device"),
    *("trainer.progress_bar", "trainer.steps_per_execution", "trainer.threads"),
)
NEUTRAL_GROUP = "logger."
CHANGEABLE = ("trainer.", "callbacks.")  # what may differ in the rest of a run


def flat(cfg: DictConfig) -> dict[str, Any]:
    """Dotted keys to plain values. References to other keys stay as written, so that nothing is looked up."""
    content: Any = OmegaConf.to_container(cfg, resolve=False)
    return dict(_flat(content, ""))


def is_neutral(key: str) -> bool:
    """Whether a key says where things are or how they are computed, and changes nothing that is computed."""
    return key in NEUTRAL or key.startswith(NEUTRAL_GROUP)


def decisive(cfg: DictConfig) -> dict[str, Any]:
    """The keys that say what is trained on what, by their dotted names.

    Left out are those that are neutral, and those of trainer and callbacks, which may differ in the rest of
    a run.
    """
    content: Any = OmegaConf.to_container(cfg, resolve=True)
    return {
        key: value
        for key, value in _flat(content, "")
        if not is_neutral(key) and not key.startswith(CHANGEABLE)
    }


def check_trained(recorded: Any, cfg: DictConfig) -> None:
    """Raise `BadInput` where a run's config is not that of a checkpoint of the run.

    Args:
        recorded: what `decisive` was of the config that it was trained with, as the checkpoint holds it;
            None in checkpoints that do not hold it yet.
        cfg: what config.yaml says.
    """
    now = decisive(cfg)
    for key, value in recorded.items() if isinstance(recorded, dict) else ():
        if now.get(key) != value:
            raise BadInput(
                key,
                now.get(key),
                f"was {cut(str(value))} when the run was trained; put its config.yaml right",
            )


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
    return read_strings(folder.overrides) if folder.overrides.exists() else []


def _flat(content: Mapping[Any, Any], prefix: str) -> list[tuple[str, Any]]:
    items: list[tuple[str, Any]] = []
    for key, value in content.items():
        items += _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else [(f"{prefix}{key}", value)]
    return items
