"""The run folder: created exclusively, written whole files at a time, read by everything afterwards."""

from __future__ import annotations

import contextlib
import json
import os
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from omegaconf import DictConfig

from isthmus.core.atomic import create_text, write_text
from isthmus.core.errors import BadInput
from isthmus.runs.formats import FORMAT, upgraded
from isthmus.runs.reading import read_config, read_json


class RunFolder:
    """Names the files of a run.

    Args:
        path: the folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / "config.yaml"
        self.overrides = path / "overrides.yaml"
        self.provenance = path / "provenance.json"
        self.status = path / "status.json"
        self.metrics = path / "metrics.csv"
        self.results = path / "results.json"
        self.checkpoints = path / "checkpoints"
        self.latents = path / "latents"
        self.figures = path / "figures"
        # The system lets go of it when the process ends, however it ends.
        self._lock = FileLock(path / ".lock")

    @classmethod
    def create(cls, path: Path) -> RunFolder:
        """Claim `path` for a new run; of two processes that try, one succeeds.

        Raises:
            BadInput: where the folder already holds something.
        """
        path.mkdir(parents=True, exist_ok=True)
        folder = cls(path)
        try:
            if any(path.iterdir()):
                raise FileExistsError
            create_text(folder.status, _json(_status("running")))
        except FileExistsError:
            goes_on = (
                f"; to go on with the run in it: isthmus resume {path}" if folder.config.is_file() else ""
            )
            raise BadInput(
                "hydra.run.dir",
                path,
                "is not empty, and nothing is overwritten; give another folder, or "
                f"leave it out for a new one{goes_on}",
            ) from None
        return folder

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """The run in `path`.

        Raises:
            BadInput: where there is none, or one of a newer format.
        """
        folder = cls(path)
        if not path.is_dir():
            raise BadInput(
                "RUN", path, "there is no such folder; give a run folder, such as one below outputs/"
            )
        if not (folder.config.is_file() and folder.status.is_file()):
            if folder.status.is_file():
                raise BadInput("RUN", path, "was ended before its config was written; train it again")
            inner = sorted(p.parent for p in [*path.glob("*/status.json"), *path.glob("*/*/status.json")])
            hint = f"; did you mean {inner[-1]}?" if inner else ""
            raise BadInput("RUN", path, f"is not a run folder: it has no config.yaml and status.json{hint}")
        if (format_ := folder.format) > FORMAT:
            raise BadInput(
                "RUN",
                path,
                f"has format {format_}, and this isthmus knows {FORMAT} and older; use a newer isthmus",
            )
        return folder

    @property
    def format(self) -> int:
        """The format of the folder."""
        found = self.read_json(self.status).get("format", 1)
        return found if isinstance(found, int) else 1

    @property
    def is_done(self) -> bool:
        """Whether the run came to its end."""
        return self.read_json(self.status).get("status") == "done"

    def read_config(self) -> DictConfig:
        """The resolved config."""
        return upgraded(read_config(self.config), self.format)

    def checkpoint(self, name: str = "best") -> Path:
        """The checkpoint best or last.

        Raises:
            BadInput: where the run has none yet.
        """
        path = self.checkpoints / f"{name}.ckpt"
        if not path.is_file():
            raise BadInput("RUN", self.path, f"has no checkpoint {path.name} yet")
        return path

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other processes from training in this folder, and tell them that somebody does.

        Raises:
            BadInput: where another process does already, or the folder cannot be written.
        """
        try:
            self._lock.acquire(timeout=1)  # somebody may only be looking whether it is held
        except Timeout:
            status = self.read_json(self.status)
            who = f"process {status.get('pid')} on {status.get('host')}"
            raise BadInput("RUN", self.path, f"is being trained by {who}; wait for it, or stop it") from None
        except NotImplementedError:  # a file system without locks: then the process number must do
            pass
        except OSError as error:
            raise BadInput("RUN", self.path, f"cannot be written ({error.strerror})") from error
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                self._lock.release()

    def read_status(self) -> dict[str, Any]:
        """What status.json says, but `killed` where it says running and nobody trains any more.

        The file is put right, if it can be.
        """
        status = self.read_json(self.status)
        if status.get("status") != "running" or self._is_alive(status):
            return status
        status["status"] = "killed"
        if status.get("host") == os.uname().nodename:
            with contextlib.suppress(OSError):
                self.write_json(self.status, status)
        return status

    def _is_alive(self, status: dict[str, Any]) -> bool:
        if self._lock.is_locked:
            return True
        if Path(self._lock.lock_file).exists():
            try:
                self._lock.acquire(timeout=0)
                self._lock.release()
                return False
            except Timeout:
                return True
            except (OSError, NotImplementedError):
                pass
        if status.get("host") != os.uname().nodename or not isinstance(status.get("pid"), int):
            return False
        try:
            os.kill(status["pid"], 0)
        except PermissionError:
            return True
        except OSError:
            return False
        return True

    def write_status(self, state: str, **details: Any) -> None:
        """Record running, done, failed or stopped, and where."""
        self.write_json(self.status, _status(state, **details))

    def write_stop(self, **details: Any) -> None:
        """Record that training was stopped, unless another process of the run has told how it ended."""
        if self._runs():
            self.write_status("stopped", **details)

    def write_failure(self, error: BaseException, **details: Any) -> None:
        """Record why training failed; of processes that fail together, the first has the reason."""
        if self._runs():
            trace = "".join(traceback.format_exception(error))
            self.write_status("failed", error=str(error), traceback=trace, **details)

    def _runs(self) -> bool:
        return self.read_json(self.status).get("status", "running") == "running"

    @staticmethod
    def write_json(path: Path, content: dict[str, Any]) -> None:
        """Write JSON, whole or not at all; infinities and NaN as null, which JSON lacks numbers for."""
        write_text(path, _json(content))

    @staticmethod
    def read_json(path: Path) -> dict[str, Any]:
        return read_json(path)


def discard_empty(*folders: Path) -> None:
    """Remove the folders, in order, as far as they are empty."""
    with contextlib.suppress(OSError):
        for folder in folders:
            folder.rmdir()


def _status(state: str, **details: Any) -> dict[str, Any]:
    return {
        "status": state,
        "format": FORMAT,
        "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "pid": os.getpid(),
        "host": os.uname().nodename,
        **({"job": job} if (job := os.environ.get("SLURM_JOB_ID")) else {}),
        **details,
    }


def _json(content: dict[str, Any]) -> str:
    return json.dumps(_plain(content), indent=2, allow_nan=False) + "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and (value != value or abs(value) == float("inf")):
        return None
    return value
