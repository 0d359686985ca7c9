"""What `import isthmus` offers in Python."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isthmus.tasks.loading import load_model as load

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from isthmus.notebook.run import Run

__all__ = ["load", "open_run", "train"]


def train(
    overrides: Sequence[str] | Mapping[str, Any] | DictConfig | None = None,
    *,
    data: Any = None,
    labels: Any = None,
    path: str | Path | None = None,
) -> Run:
    """Train an autoencoder in this process, as `isthmus train` does, and return its run.

    Data in memory are kept in `$XDG_CACHE_HOME/isthmus/data` (by default under ~/.cache), once for the same
    content, so that the run can be resumed, reproduced and evaluated; delete them there when you no longer
    need that.

    Args:
        overrides: as on the command line, ``["latent.dim=8", "model=vae"]``; or a mapping,
            ``{"latent.dim": 8, "model": "vae"}``; or a whole config, such as `Run.config`.
        data: to train on, in place of those of the config: an array or a tensor of features [N, F] or images,
            or a table of pandas, pyarrow or polars.
        labels: of `data`: an array of classes [N], or the name of a column of the table. They are never
            trained on.
        path: the run folder, which must be new or empty; None for a new one under outputs/.

    Raises:
        BadInput: a mistake, in one line; it is a ValueError.
        TrainingDiverged: the loss is no longer finite.
        Stopped: Ctrl+C, or the kernel was interrupted; it is a KeyboardInterrupt. A checkpoint was written:
            ``isthmus.open_run(stopped.path).resume()`` trains the rest.
    """
    from isthmus.notebook.training import train_run

    return train_run(overrides, data=data, labels=labels, path=path)


def open_run(run: str | Path) -> Run:
    """A run that was trained before, in any state.

    Args:
        run: a run folder, the name of a run in outputs/, or latest.

    Raises:
        BadInput: there is no such run.
    """
    from isthmus.notebook.run import Run
    from isthmus.runs.folder.lookup import find_run

    return Run(find_run(Path(run).expanduser()))
