"""Builds the data of a run from its config. Imports no Lightning."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from omegaconf import DictConfig, OmegaConf

from isthmus.common.errors import BadInput
from isthmus.data.loading.keys import OPTIONAL_KEYS, REQUIRED_KEYS
from isthmus.data.loading.splits import Split
from isthmus.data.module import DataModule
from isthmus.data.source import Source
from isthmus.runs.config.parts import part


def plain(cfg: DictConfig) -> dict[str, Any]:
    """A config, or a group in it, as plain types with interpolations resolved."""
    content: Any = OmegaConf.to_container(cfg, resolve=True)
    return content


def build_data(
    cfg: DictConfig, prepared: Any = None, split: Callable[[Source], Split | None] = lambda source: None
) -> DataModule:
    """The DataModule, with a checked source.

    Args:
        cfg: the config.
        prepared: what a run recorded of the columns of its table, to read new data alike; else None.
        split: gives the parts of the rows; None to draw them as the config says.
    """
    keys = {key: cfg.data[key] for key in (*REQUIRED_KEYS, *OPTIONAL_KEYS) if key in cfg.data}
    own = {key: value for key, value in plain(cfg.data).items() if key not in keys}
    source = part("data", own, Source, **({} if prepared is None else {"prepared": prepared}))
    try:
        return DataModule(
            source,
            seed=cfg.seed,
            steps_per_execution=cfg.trainer.steps_per_execution,
            split=split(source),
            **keys,
        )
    except BadInput as error:
        raise error.under("data") from error
