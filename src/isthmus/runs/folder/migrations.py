"""Upgrade the config of run folders in older formats.

Format 1: no checkpoints in the middle of an epoch, and so no keys for them.
Format 2: checkpoints record their position in training; runs can be resumed.
Format 3: weights of convolutions may be in the channels-last memory format, which rounds differently.
"""

from __future__ import annotations

from omegaconf import DictConfig, OmegaConf

FORMAT = 3  # of new folders; increases when the meaning of their content changes
RESUMABLE = 2  # the oldest format whose runs can be resumed


def upgraded(cfg: DictConfig, format_: int) -> DictConfig:
    """Add the keys that are newer than a folder's format, set to the behavior of that format."""
    if format_ < 2:
        for key in ("callbacks.checkpoint.every_n_steps", "callbacks.checkpoint.every_n_minutes"):
            OmegaConf.update(cfg, key, None, force_add=True)
    if format_ < 3:
        OmegaConf.update(cfg, "trainer.channels_last", False, force_add=True)
    return cfg
