"""Flatten configs to dotted keys, and compare them with each other and the defaults. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf

from isthmus.common.dotted_keys import flatten
from isthmus.common.errors import BadInput, cut
from isthmus.runs.config.compose import compose, conf_dir

NEUTRAL = (
    "name",
    *(
        "data.path",
        "data.val_path",
        "data.test_path",
        "data.root",
        "data.labels",
        "data.in_memory",
        "data.num_workers",
        "data.on_device",
    ),
    *("trainer.progress_bar", "trainer.steps_per_execution", "trainer.threads"),
)
NEUTRAL_GROUP = "logger."
CHANGEABLE = ("trainer.", "callbacks.")  # keys that may change when a run is resumed


def flat(cfg: DictConfig, *, resolve: bool = False) -> dict[str, Any]:
    """Dotted keys to plain values, without empty groups. Looks nothing up, unless `resolve`."""
    content: Any = OmegaConf.to_container(cfg, resolve=resolve)
    return {key: value for key, value in flatten(content).items() if value != {}}


def is_neutral(key: str) -> bool:
    """Whether a key sets only locations or how results are computed, and does not change them."""
    return key in NEUTRAL or key.startswith(NEUTRAL_GROUP)


def decisive(cfg: DictConfig) -> dict[str, Any]:
    """The dotted keys that define the model and its data.

    Excludes neutral keys, and those of trainer and callbacks, which may change when a run is resumed.
    """
    return {
        key: value
        for key, value in flat(cfg, resolve=True).items()
        if not is_neutral(key) and not key.startswith(CHANGEABLE)
    }


def check_trained(recorded: Mapping[str, Any], cfg: DictConfig) -> None:
    """Raise `BadInput` if a run's config does not match its checkpoint.

    Args:
        recorded: `decisive` of the training config, as recorded in the checkpoint; empty in older ones.
        cfg: the config in config.yaml.
    """
    now = decisive(cfg)
    for key, value in recorded.items():
        if not _equal(now.get(key), value):
            raise BadInput(
                key,
                now.get(key),
                f"was {cut(str(value))} when the run was trained; put its config.yaml right",
            )


def _equal(value: Any, recorded: Any) -> bool:
    """Whether a value is the recorded one, which may be of any type, such as a tensor."""
    try:
        return bool(value == recorded)
    except (RuntimeError, ValueError):
        return False


def changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """The keys whose values differ, with both values; None stands for a missing key."""
    return {
        key: (before.get(key), after.get(key))
        for key in dict.fromkeys((*before, *after))
        if before.get(key) != after.get(key)
    }


def against_defaults(cfg: DictConfig) -> dict[str, tuple[Any, Any]]:
    """What `cfg` chooses and changes: the default, and the value in `cfg`, by key.

    Choices are compared with those of `isthmus train`, other keys with the defaults of the choices.
    """
    here, default = flat(cfg), flat(compose())
    chosen = {key: both for key, both in changed(default, here).items() if key.endswith("._target_")}
    choices = tuple(choice for key in chosen if (choice := _choice(key, here.get(key))))
    return {**chosen, **changed(flat(compose(choices)) if choices else default, here)}


def _choice(key: str, target: Any) -> str | None:
    """GROUP=CHOICE for the key GROUP._target_; None for classes of users, and for keys within a choice."""
    group, _, rest = key.partition(".")
    shipped = rest == "_target_" and group.isidentifier()
    files = sorted((conf_dir() / group).glob("*.yaml")) if shipped else []
    found = [path.stem for path in files if OmegaConf.select(OmegaConf.load(path), "_target_") == target]
    return f"{group}={found[0]}" if found else None
