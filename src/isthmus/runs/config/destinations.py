"""Where a config may write or send data: an untrusted one only into its run folder. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from isthmus.common.errors import BadInput
from isthmus.runs.config.allowlist import trusted


def check_opened(cfg: DictConfig, typed: Sequence[str] = ()) -> None:
    """Raise `BadInput` if an untrusted config would write or send data outside its run folder.

    Args:
        cfg: config of a run folder, or composed from a config folder.
        typed: KEY=VALUE overrides typed by the user; their keys are trusted.
    """
    if trusted():
        return
    own = {override.partition("=")[0].lstrip("+~") for override in typed}
    root = OmegaConf.select(cfg, "data.root")
    if root is not None and "data.root" not in own and not _holds_fashion_mnist(str(root)):
        raise BadInput(
            "data.root",
            root,
            "does not hold the data, and they would be downloaded there; give data.root=null, or a folder "
            "of yours, or add trust=true",
        )
    logger = OmegaConf.select(cfg, "logger")
    for name, keys in logger.items() if isinstance(logger, DictConfig) else ():
        for setting, harmless, what in (
            ("tracking_uri", None, "would be written to or sent to"),
            ("offline", True, "would send the run to a server"),
        ):
            key = f"logger.{name!s}.{setting}"
            value = keys.get(setting, harmless) if isinstance(keys, DictConfig) else harmless
            if value != harmless and key not in own:
                safe = "null" if harmless is None else "true"
                raise BadInput(
                    key, value, f"{what}; give {key}={safe}, type the value yourself, or add trust=true"
                )


def _holds_fashion_mnist(root: str) -> bool:
    from isthmus.data.fashion_mnist import absent

    return not absent(Path(root).expanduser())
