"""isthmus: config-driven experiments with autoencoders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from isthmus.api import load as load
    from isthmus.api import open_run as open_run
    from isthmus.api import train as train
    from isthmus.estimator import Autoencoder as Autoencoder

__version__ = "0.1.0"
__all__ = ["Autoencoder", "load", "open_run", "train"]


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])


def __getattr__(name: str) -> Any:
    # imported on first use, so that the command line starts without torch
    if name == "Autoencoder":
        from isthmus.estimator import Autoencoder

        return Autoencoder
    if name in __all__:
        from isthmus import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
