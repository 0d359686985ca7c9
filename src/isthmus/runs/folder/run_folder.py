"""The run folder: created exclusively, and its files written atomically."""

from __future__ import annotations

import contextlib
import os
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from omegaconf import DictConfig

from isthmus.common.atomic_files import UNFINISHED, create_text, unfinished_of, write_text
from isthmus.common.errors import BadInput
from isthmus.common.messages import command_line, relative
from isthmus.runs.folder.json_text import as_json
from isthmus.runs.folder.lookup import MODEL
from isthmus.runs.folder.migrations import FORMAT, upgraded
from isthmus.runs.folder.status import is_alive, status_of
from isthmus.runs.folder.untrusted import read_config, read_json, read_strings


class RunFolder:
    """The folder of a run: paths, lock, status and reading of its files.

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
        self.reproduction = path / "reproduction.json"
        self.checkpoints = path / "checkpoints"
        self.latents = path / "latents"
        self.figures = path / "figures"
        self.model = path / MODEL
        # The operating system releases it however the process ends.
        self._lock = FileLock(path / ".lock")

    @classmethod
    def create(cls, path: Path, *, key: str = "hydra.run.dir") -> RunFolder:
        """Claim `path` for a new run, and lock it; of two processes that try, one succeeds.

        A folder whose run was killed before its config was written is reused. `key` is what set the path.

        Raises:
            BadInput: if the folder already contains something.
        """
        path.mkdir(parents=True, exist_ok=True)
        folder = cls(path)
        if not folder._holds_nothing():
            raise folder.taken(key)
        try:
            folder._acquire(timeout=0)
        except Timeout:
            raise folder.taken(key) from None
        try:
            if not folder._holds_nothing():  # another process was faster
                raise FileExistsError
            for left in folder._beginnings():
                left.unlink()
            create_text(folder.status, as_json(status_of("running")))
        except FileExistsError:
            folder._lock.release()
            raise folder.taken(key) from None
        except BaseException:
            folder.remove()
            folder._lock.release()
            raise
        return folder

    @property
    def is_free(self) -> bool:
        """Whether a new run may start here; without the lock, this may change."""
        return not self.path.exists() or (self.path.is_dir() and self._holds_nothing())

    def _holds_nothing(self) -> bool:
        """Whether the folder is empty, or contains only files of a run that was killed before it started."""
        beginnings = self._beginnings()
        ours = {*beginnings, Path(self._lock.lock_file)}
        if not all(path in ours and path.is_file() for path in self.path.iterdir()):
            return False
        whole = [path for path in beginnings if path.suffix != UNFINISHED]
        if not whole:
            return True
        try:
            return self.read_json(self.status).get("status") in ("running", "killed")
        except (BadInput, OSError):
            return False

    def _beginnings(self) -> list[Path]:
        """The files that are written before config.yaml, and unfinished files of these and of config.yaml."""
        written = (self.status, self.overrides, self.provenance)
        unfinished = [path for file in (*written, self.config) for path in unfinished_of(file)]
        return [*(file for file in written if file.exists()), *unfinished]

    def taken(self, key: str = "hydra.run.dir") -> BadInput:
        """The error to raise if the folder, set by `key`, is not free for a new run."""
        place = relative(self.path) if key == "name" else self.path
        resume = command_line("isthmus", "resume", place)
        resuming = f"; to resume the run in it: {resume}" if self.config.is_file() else ""
        if key == "name":
            fix = f"{place} exists, and nothing is overwritten; give another name{resuming}"
            return BadInput(key, self.path.name, fix)
        return BadInput(
            key,
            self.path,
            "is not empty, and nothing is overwritten; give another folder, or "
            f"leave it out for a new one{resuming}",
        )

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """The run in `path`.

        Raises:
            BadInput: if there is no run, or its format is newer than this isthmus.
        """
        folder = cls(path)
        if not path.is_dir():
            holds = next((above for above in path.parents if (above / "status.json").is_file()), None)
            raise BadInput(
                "RUN",
                path,
                f"is a file; give the run folder, {holds}"
                if path.is_file() and holds
                else "there is no such folder; give a run folder, such as one below outputs/",
            )
        missing = [file.name for file in (folder.config, folder.status) if not file.is_file()]
        if missing and folder._holds_nothing():
            raise BadInput(
                "RUN",
                path,
                "holds nothing yet: its run is starting, or was killed before it started; then train it "
                f"again, in the same folder with hydra.run.dir={path}",
            )
        if missing == ["config.yaml"]:
            raise BadInput("RUN", path, "has lost its config.yaml; train it again")
        if missing:
            inner = sorted(p.parent for p in [*path.glob("*/status.json"), *path.glob("*/*/status.json")])
            hint = f"; did you mean {inner[-1]}?" if inner else ""
            raise BadInput("RUN", path, f"is not a run folder: it has no {' and '.join(missing)}{hint}")
        if (format_ := folder.format) > FORMAT:
            raise BadInput(
                "RUN",
                path,
                f"has format {format_}, and this isthmus knows {FORMAT} and older; use a newer isthmus",
            )
        return folder

    def remove(self) -> None:
        """Remove the files of a run that has not started training, and the folder if it is then empty."""
        with contextlib.suppress(OSError):
            for file in (*self._beginnings(), self.config):
                file.unlink(missing_ok=True)
            Path(self._lock.lock_file).unlink(missing_ok=True)
            self.path.rmdir()

    @property
    def format(self) -> int:
        """The format version of the folder."""
        found = self.read_json(self.status).get("format", 1)
        return found if isinstance(found, int) else 1

    @property
    def is_done(self) -> bool:
        """Whether the run is finished."""
        return self.read_json(self.status).get("status") == "done"

    def read_config(self) -> DictConfig:
        """The resolved config."""
        return upgraded(read_config(self.config), self.format)

    def read_overrides(self) -> list[str]:
        """The overrides typed by the user; empty if there is no overrides.yaml."""
        return read_strings(self.overrides) if self.overrides.exists() else []

    def read_provenance(self) -> dict[str, Any]:
        """The provenance of the run; empty if it has no provenance.json."""
        return self.read_json(self.provenance) if self.provenance.is_file() else {}

    def checkpoint(self, name: str = "best") -> Path:
        """The path of the checkpoint best or last.

        Raises:
            BadInput: if it does not exist yet.
        """
        path = self.checkpoints / f"{name}.ckpt"
        if not path.is_file():
            raise BadInput("RUN", self.path, f"has no checkpoint {path.name} yet")
        return path

    @contextmanager
    def held(self) -> Iterator[None]:
        """Lock the folder, so that no other process trains in it.

        Raises:
            BadInput: if another process is training in it, or the folder is not writable.
        """
        if not self._lock.is_locked:  # by `create`
            try:
                self._acquire(timeout=1)  # `read_status` may be holding it for a moment
            except Timeout:
                raise self._is_trained(self.read_json(self.status)) from None
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                self._lock.release()

    def _acquire(self, *, timeout: float) -> None:
        try:
            self._lock.acquire(timeout=timeout)
        except Timeout:
            raise
        except NotImplementedError:  # a file system without locks: use the process id
            status = self.read_json(self.status) if self.status.exists() else {}
            if status.get("pid") != os.getpid() and status.get("status") == "running" and is_alive(status):
                raise self._is_trained(status) from None
        except OSError as error:
            raise BadInput("RUN", self.path, f"cannot be written ({error.strerror})") from error

    def _is_trained(self, status: dict[str, Any]) -> BadInput:
        who = f"process {status.get('pid')} on {status.get('host')}"
        return BadInput("RUN", self.path, f"is being trained by {who}; wait for it, or stop it")

    def read_status(self) -> dict[str, Any]:
        """The content of status.json, with `killed` for a run recorded as running whose process is gone.

        The file is corrected, if possible.
        """
        status = self.read_json(self.status)
        if status.get("status") != "running" or self._lock.is_locked:
            return status
        if Path(self._lock.lock_file).exists():
            try:
                with self._lock.acquire(timeout=0):
                    return self._put_right(self.read_json(self.status))  # it may have ended in the meantime
            except Timeout:
                return status
            except (OSError, NotImplementedError):
                pass
        return status if is_alive(status) else self._put_right(status)

    def _put_right(self, status: dict[str, Any]) -> dict[str, Any]:
        if status.get("status") == "running":
            status["status"] = "killed"
            if status.get("host") == os.uname().nodename:
                with contextlib.suppress(OSError):
                    self.write_json(self.status, status)
        return status

    def write_status(self, state: str, **details: Any) -> None:
        """Record the state running, done, failed or stopped, with details."""
        self.write_json(self.status, status_of(state, **details))

    def write_stop(self, **details: Any) -> None:
        """Record that training was stopped, unless another process of the run has recorded the end."""
        if self._runs():
            self.write_status("stopped", **details)

    def write_failure(self, error: BaseException, **details: Any) -> None:
        """Record why training failed, unless another process did: the first to fail has the reason."""
        if self._runs():
            trace = "".join(traceback.format_exception(error))
            self.write_status("failed", error=str(error), traceback=trace, **details)

    def _runs(self) -> bool:
        return self.read_json(self.status).get("status", "running") == "running"

    @staticmethod
    def write_json(path: Path, content: dict[str, Any]) -> None:
        """Write JSON atomically; infinities and NaN become null, since JSON cannot represent them."""
        write_text(path, as_json(content))

    @staticmethod
    def read_json(path: Path) -> dict[str, Any]:
        return read_json(path)
