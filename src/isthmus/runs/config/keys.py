"""Flatten configs to dotted keys, and compare them with each other and the defaults. Imports no torch."""

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
CHANGEABLE = ("trainer.", "callbacks.")  # keys that may change when a run is resumed


def flat(cfg: DictConfig) -> dict[str, Any]:
    """Dotted keys to plain values. Interpolations stay unresolved, so that nothing is looked up."""
    content: Any = OmegaConf.to_container(cfg, resolve=False)
    return dict(_flat(content, ""))


def is_neutral(key: str) -> bool:
    """Whether a key sets only locations or how results are computed, and does not change them."""
    return key in NEUTRAL or key.startswith(NEUTRAL_GROUP)


def decisive(cfg: DictConfig) -> dict[str, Any]:
    """The dotted keys that define the model and its data.

    Excludes neutral keys, and those of trainer and callbacks, which may change when a run is resumed.
    """
    content: Any = OmegaConf.to_container(cfg, resolve=True)
    return {
        key: value
        for key, value in _flat(content, "")
        if not is_neutral(key) and not key.startswith(CHANGEABLE)
    }


def check_trained(recorded: Any, cfg: DictConfig) -> None:
    """Raise `BadInput` if a run's config does not match its checkpoint.

    Args:
        recorded: `decisive` of the training config, as recorded in the checkpoint; None in older checkpoints,
            which lack it.
        cfg: the config in config.yaml.
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
    """The keys whose values differ, with both values; None stands for a missing key."""
    return {
        key: (before.get(key), after.get(key))
        for key in dict.fromkeys((*before, *after))
        if before.get(key) != after.get(key)
    }


def against_defaults(cfg: DictConfig) -> dict[str, tuple[Any, Any]]:
    """The keys of `cfg` that differ from the defaults of `isthmus train`: default, and value in `cfg`."""
    return changed(flat(compose()), flat(cfg))


def typed_overrides(folder: RunFolder) -> list[str]:
    """The overrides typed by the user, from overrides.yaml; empty if there is no such file.

    Raises:
        BadInput: if the file is damaged.
    """
    return read_strings(folder.overrides) if folder.overrides.exists() else []


def _flat(content: Mapping[Any, Any], prefix: str) -> list[tuple[str, Any]]:
    items: list[tuple[str, Any]] = []
    for key, value in content.items():
        items += _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else [(f"{prefix}{key}", value)]
    return items
