"""Cheap checks that refuse an invalid config before any heavy import or computation."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from isthmus.common.dotted_keys import walk
from isthmus.common.errors import (
    LARGEST_SEED,
    LONGEST_FIX,
    MOST_THREADS,
    BadInput,
    check_bool,
    check_float,
    check_int,
    one_of,
)
from isthmus.common.messages import first_line, unknown_key
from isthmus.common.run_names import LATEST, NAME
from isthmus.data.loading.keys import REQUIRED_KEYS
from isthmus.runs.config.allowlist import HOMES, SEVERAL, check_targets
from isthmus.runs.config.compose import conf_dir

PRECISIONS = ("32-true", "bf16-mixed", "16-mixed", "64-true")

# Keys that are read by name for every choice. Each part's constructor checks its other keys.
REQUIRED = ("latent.dim", "callbacks.checkpoint", *(f"data.{key}" for key in REQUIRED_KEYS))

EXTRAS = ("mlflow", "wandb")  # loggers whose packages are installed only when asked for


def _below(key: str, value: int, limit: int) -> None:
    if value >= limit:
        raise BadInput(key, value, f"must be below {limit}")


def _check_name(key: str, value: Any) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not NAME.fullmatch(str(value)):
        raise BadInput(key, value, "must be a name for a folder: at most 100 letters, digits and . _ -")
    if value == LATEST:
        raise BadInput(key, value, "means the newest run; give another name")


def switch_or(*others: str) -> Callable[[str, Any], None]:
    """A check that accepts true, false and the words in `others`."""

    def check(key: str, value: Any) -> None:
        if not isinstance(value, bool) and value not in others:
            raise BadInput(key, value, f"must be one of {', '.join((*others, 'true', 'false'))}")

    return check


# key -> check(key, value). Keys that a choice does not have are skipped.
RULES: dict[str, Callable[[str, Any], object]] = {
    "name": _check_name,
    "seed": lambda k, v: _below(k, check_int(k, v, least=0), 2**32),
    "latent.dim": check_int,
    "data.batch_size": check_int,
    "data.eval_batch_size": check_int,
    "data.num_workers": lambda k, v: check_int(k, v, least=0),
    "data.split_seed": lambda k, v: check_int(k, v, least=0, most=LARGEST_SEED),
    "optimizer.lr": lambda k, v: check_float(k, v, above=0.0),
    "trainer.max_steps": lambda k, v: v == -1 or check_int(k, v),
    "trainer.max_epochs": lambda k, v: v == -1 or check_int(k, v),
    "trainer.num_nodes": check_int,
    "trainer.accelerator": lambda k, v: one_of(k, v, ("auto", "cpu", "gpu", "cuda", "mps")),
    "trainer.strategy": lambda k, v: one_of(k, v, ("auto", "ddp")),
    "trainer.precision": lambda k, v: one_of(k, v, PRECISIONS),
    "trainer.gradient_clip_val": lambda k, v: v is None or check_float(k, v, above=0.0),
    "trainer.gradient_clip_algorithm": lambda k, v: one_of(k, v, ("norm", "value")),
    "trainer.accumulate_grad_batches": check_int,
    "trainer.steps_per_execution": check_int,
    "trainer.channels_last": switch_or("auto"),
    "trainer.log_every_n_steps": check_int,
    "trainer.check_val_every_n_epoch": check_int,
    "trainer.progress_bar": switch_or("auto", "none"),
    "trainer.threads": lambda k, v: v is None or check_int(k, v, most=max(MOST_THREADS, os.cpu_count() or 1)),
}


def check(cfg: DictConfig) -> None:
    """Raise `BadInput` for the first class that is not allowed, key that does not exist, or invalid value."""
    check_targets(_as_it_will_be(cfg))
    try:
        content = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        key = error.full_key or "config"
        written = dict(walk(OmegaConf.to_container(cfg, resolve=False)))
        raise BadInput(key, written.get(key), first_line(error, LONGEST_FIX)) from error
    check_literal(content)
    _check_keys(cfg)
    missing = object()
    for key in REQUIRED:
        if OmegaConf.select(cfg, key, default=missing) is missing:
            raise BadInput(key, "", "is missing; every run needs it")
    for name in EXTRAS:
        if name in cfg.logger and find_spec(name) is None:
            raise BadInput("logger", name, f'is not installed: pip install "isthmus[{name}]"')
    for key, rule in RULES.items():
        value = OmegaConf.select(cfg, key, default=missing)
        if value is not missing:
            rule(key, value)
    trainer = cfg.trainer
    if trainer.max_epochs == -1 and trainer.max_steps == -1:
        raise BadInput("trainer.max_epochs", -1, "would never end; set it or trainer.max_steps")


def _as_it_will_be(cfg: DictConfig) -> Any:
    """`cfg` with interpolations resolved; unresolved if one fails, which is refused later."""
    try:
        return OmegaConf.to_container(cfg, resolve=True)
    except OmegaConfBaseException:
        return OmegaConf.to_container(cfg, resolve=False)


def check_literal(content: Any, key: str = "") -> None:
    """Raise `BadInput` for text that would become an interpolation on the next read, as an escaped one does.

    A config is read again when a part is built, and when the run folder is opened.

    Args:
        content: plain types with interpolations resolved.
        key: dotted key of `content`; "" for the whole config.
    """
    for found, value in walk(content, key):
        if isinstance(value, str) and "${" in value:
            raise BadInput(found, value, "must not have ${ in it, which begins a reference to another key")


def _check_keys(cfg: DictConfig) -> None:
    """Check that keys which no constructor receives are those of the shipped choice, switches included."""
    groups = [folder.name for folder in conf_dir().iterdir() if folder.is_dir()]
    _same_keys(
        "",
        cfg,
        [
            "seed",
            *(["name"] if "name" in cfg else []),
            *(g for g in groups if g not in ("model", "experiment")),
        ],
    )
    for group in HOMES:
        _holds_keys(group, cfg[group])
        for name in (cfg[group] or ()) if group in SEVERAL else ():
            _holds_keys(f"{group}.{name}", cfg[group][name])
    shipped = _shipped(conf_dir() / "trainer" / "auto.yaml")
    _same_keys("trainer.", cfg.trainer, list(shipped))
    switches = [f"trainer.{key}" for key, default in shipped.items() if isinstance(default, bool)]
    switches += [f"callbacks.{name}.enabled" for name, keys in cfg.callbacks.items() if "enabled" in keys]
    for key in switches:
        check_bool(key, OmegaConf.select(cfg, key))


@cache
def _shipped(path: Path) -> Any:
    """A shipped choice, read once for all jobs of a sweep; read-only."""
    return OmegaConf.load(path)


def _holds_keys(key: str, part: Any) -> None:
    if not OmegaConf.is_dict(part) and not (part is None and key == "regularizer"):
        raise BadInput(key, part, "must hold the keys of a part; choose one of the shipped choices")


def _same_keys(prefix: str, keys: Any, known: list[Any]) -> None:
    if not OmegaConf.is_dict(keys):
        raise BadInput(prefix.rstrip("."), keys, f"must hold the keys {', '.join(known)}")
    for key in map(str, keys):
        if key not in known:
            raise BadInput(f"{prefix}{key}", keys._get_node(key), unknown_key(key, known, prefix))
    for key in map(str, known):
        if key not in keys:
            raise BadInput(
                f"{prefix}{key}",
                None,
                "is missing; begin your YAML with the shipped choice among its defaults",
            )
