"""A sweep has its folder for itself: two at once, or a second one later, would mix jobs of the same numbers.

Hydra writes multirun.yaml before the first job begins, and overwrites the one that is there. So the folder is
held by a callback of Hydra's (https://hydra.cc/docs/experimental/callbacks) that it calls before.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from isthmus.runs import BadInput
from isthmus.runs.config.compose import is_follower
from isthmus.runs.errors import Carried
from isthmus.runs.folder.run_folder import RunFolder

KEY = "hydra.sweep.dir"
_held: list[FileLock] = []  # the system lets go of them when the process ends, however it ends


class ClaimFolder(Callback):
    """Claims the folder of a sweep for this process before anything is written to it."""

    def on_multirun_start(self, config: DictConfig, **keywords: Any) -> None:
        if is_follower():
            return
        try:
            claim(Path(config.hydra.sweep.dir))
        except BadInput as error:
            raise Carried(error) from None  # of an Exception Hydra would make a warning


def claim(path: Path) -> None:
    """Hold the folder of a sweep until `release` is called or the process ends.

    Raises:
        BadInput: another sweep is going on there, or an earlier one left runs. A Slurm job that was put into
            the queue again finds its own.
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
        from isthmus.cli.tables import command

        raise BadInput(
            KEY,
            path,
            "holds the runs of another sweep, and nothing is overwritten; give another folder, or leave it "
            f"out for a new one; to go on with a run in it: {command('isthmus', 'resume', earlier)}",
        )


def release() -> None:
    """Let go of what this process holds."""
    while _held:
        _held.pop().release()


def _run_of_a_sweep(path: Path) -> Path | None:
    """A run that a sweep left in a folder; other runs there keep their folders and are no matter.

    One that was killed before it began left nothing, and begins anew.
    """
    if not (path / "multirun.yaml").is_file():
        return None
    runs = (status.parent for status in path.rglob("status.json"))
    return next((run for run in runs if not RunFolder(run).is_free), None)
