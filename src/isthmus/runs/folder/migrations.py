"""Upgrade the config of run folders in older formats.

Format 1: no checkpoints in the middle of an epoch, and so no keys for them.
Format 2: checkpoints record their position in training; runs can be resumed.
Format 3: weights of convolutions may be in the channels-last memory format, which rounds differently.
Format 4: epochs in metrics.csv count from 1; the row of the test has the counts of the tested weights.
Callbacks name their class.
"""

from __future__ import annotations

from typing import Any

from omegaconf import DictConfig, OmegaConf

FORMAT = 4  # of new folders; increases when the meaning of their content changes
RESUMABLE = 2  # the oldest format whose runs can be resumed
COUNTED_FROM_1 = 4  # the oldest format whose metrics.csv has the counts of the tested weights

# format -> keys that it added, and what earlier formats did
ADDED: dict[int, dict[str, Any]] = {
    2: {"callbacks.checkpoint.every_n_steps": None, "callbacks.checkpoint.every_n_minutes": None},
    3: {"trainer.channels_last": False},
    4: {
        f"callbacks.{name}._target_": f"isthmus.training.callbacks.{path}"
        for name, path in {
            "checkpoint": "checkpoints.Checkpoints",
            "latents": "latents.Latents",
            "figures": "figures.Figures",
            "projector": "projector.Projector",
            "early_stopping": "early_stopping.EarlyStopping",
        }.items()
    },
}


def upgraded(cfg: DictConfig, format_: int) -> DictConfig:
    """Add the keys that are newer than a folder's format, set to the behavior of that format."""
    for newer_than, keys in ADDED.items():
        for key, value in keys.items() if format_ < newer_than else ():
            *groups, name = key.split(".")
            node: Any = cfg
            for group in groups:  # an edited config may have anything there, which is refused later
                node = node._get_node(group) if OmegaConf.is_dict(node) and group in node else None
            if OmegaConf.is_dict(node) and name not in node:
                OmegaConf.update(cfg, key, value, force_add=True)
    return cfg
