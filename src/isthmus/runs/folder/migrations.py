"""Run folders of older formats, read as if they were made today.

Format 1: no checkpoints in the middle of an epoch, and so no keys that ask for them.
Format 2: checkpoints tell the place in training at which they were made; runs can be resumed.
Format 3: weights of convolutions may lie in memory by pixels, which rounds differently.
"""

from __future__ import annotations

from omegaconf import DictConfig, OmegaConf

FORMAT = 3  # of the folders that are made; grows when what is in one changes its meaning
RESUMABLE = 2  # the oldest whose runs can be resumed


def upgraded(cfg: DictConfig, format_: int) -> DictConfig:
    """The config of a run folder, with the keys that came after its format, set to what was done then."""
    if format_ < 2:
        for key in ("callbacks.checkpoint.every_n_steps", "callbacks.checkpoint.every_n_minutes"):
            OmegaConf.update(cfg, key, None, force_add=True)
    if format_ < 3:
        OmegaConf.update(cfg, "trainer.channels_last", False, force_add=True)
    return cfg
