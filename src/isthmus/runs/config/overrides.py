"""Apply KEY=VALUE overrides to the config of a run. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from isthmus.common.errors import BadInput
from isthmus.common.messages import did_you_mean
from isthmus.runs.config.keys import flat


def apply_overrides(cfg: DictConfig, overrides: Sequence[str]) -> DictConfig:
    """Apply KEY=VALUE overrides to `cfg` in place and return it; raise `BadInput` for unknown keys."""
    OmegaConf.set_struct(cfg, True)
    for override in overrides:
        key, equals, value = override.partition("=")
        if not equals:
            raise BadInput("override", override, "must be KEY=VALUE")
        try:
            cfg.merge_with_dotlist([override])
        except OmegaConfBaseException as error:
            hint = did_you_mean(key, flat(cfg))
            fix = "; ".join(filter(None, ("there is no such key in the run's config", hint)))
            raise BadInput(key, value, fix) from error
        except yaml.YAMLError as error:
            raise BadInput(key, value, "cannot be read; lists are [1,2]") from error
    return cfg
