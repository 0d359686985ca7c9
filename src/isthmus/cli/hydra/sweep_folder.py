"""A sweep locks its folder: two sweeps in one folder would mix jobs of the same numbers.

Hydra writes multirun.yaml before the first job starts, and overwrites an existing one. So a Hydra callback
(https://hydra.cc/docs/experimental/callbacks) locks the folder before that.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from isthmus.cli.tables import command
from isthmus.runs import BadInput
from isthmus.runs.config.compose import is_follower
from isthmus.runs.errors import Carried
from isthmus.runs.folder.run_folder import RunFolder

KEY = "hydra.sweep.dir"
_held: list[FileLock] = []  # the operating system releases them however the process ends


class ClaimFolder(Callback):
    """Claims the folder of a sweep for this process before anything is written to it."""

    def on_multirun_start(self, config: DictConfig, **keywords: Any) -> None:
        if is_follower():
            return
        try:
            claim(Path(config.hydra.sweep.dir))
        except BadInput as error:
            raise Carried(error) from None  # Hydra would turn an Exception into a warning


def claim(path: Path) -> None:
    """Lock the folder of a sweep until `release` is called or the process ends.

    Raises:
        BadInput: another sweep is running there, or an earlier one left runs. The latter is allowed for a
            requeued Slurm job, whose own runs they are.
    """
    from isthmus.runs.execution.slurm import was_requeued

    lock = FileLock(path / ".lock")
    earlier = None if was_requeued() else _run_of_a_sweep(path)
    if earlier is None or Path(lock.lock_file).exists():
        try:
            path.mkdir(parents=True, exist_ok=True)
            lock.acquire(timeout=0)
            _held.append(lock)
        except Timeout:
            fix = "another sweep is going on there; wait for its end, or give another folder"
            raise BadInput(KEY, path, fix) from None
        except NotImplementedError:  # a file system without locks: each run still claims its own folder
            pass
        except OSError as error:
            raise BadInput(KEY, path, f"cannot be written ({error.strerror}); give another folder") from error
    if earlier is not None:
        raise BadInput(
            KEY,
            path,
            "holds the runs of another sweep, and nothing is overwritten; give another folder, or leave it "
            f"out for a new one; to resume a run in it: {command('isthmus', 'resume', earlier)}",
        )


def release() -> None:
    """Release the locks of this process."""
    while _held:
        _held.pop().release()


def _run_of_a_sweep(path: Path) -> Path | None:
    """A run that an earlier sweep left in a folder, or None; runs of other commands there do no harm.

    A run that was killed before it started does not count: its folder can be reused.
    """
    if not (path / "multirun.yaml").is_file():
        return None
    runs = (status.parent for status in path.rglob("status.json"))
    return next((run for run in runs if not RunFolder(run).is_free), None)
