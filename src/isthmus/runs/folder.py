"""The run folder: created exclusively, written whole files at a time, read by everything afterwards."""

from __future__ import annotations

import contextlib
import json
import os
import time
import traceback
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from isthmus.core.atomic import write_text
from isthmus.core.errors import BadInput

FORMAT = 1  # of the folder; grows when what is in it changes its meaning


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
            with folder.status.open("x", encoding="utf-8") as file:
                file.write("{}\n")
        except FileExistsError:
            raise BadInput(
                "hydra.run.dir",
                path,
                "is not empty, and nothing is overwritten; give another folder, or "
                "leave it out for a new one",
            ) from None
        return folder

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """The run in `path`.

        Raises:
            BadInput: where there is none.
        """
        folder = cls(path)
        if not path.is_dir():
            raise BadInput(
                "RUN", path, "there is no such folder; give a run folder, such as one below outputs/"
            )
        if not (folder.config.is_file() and folder.status.is_file()):
            inner = sorted(p.parent for p in [*path.glob("*/status.json"), *path.glob("*/*/status.json")])
            hint = f"; did you mean {inner[-1]}?" if inner else ""
            raise BadInput("RUN", path, f"is not a run folder: it has no config.yaml and status.json{hint}")
        return folder

    def read_config(self) -> DictConfig:
        """The resolved config."""
        config = OmegaConf.load(self.config)
        assert isinstance(config, DictConfig)
        return config

    def checkpoint(self, name: str = "best") -> Path:
        """The checkpoint best or last.

        Raises:
            BadInput: where the run has none yet.
        """
        path = self.checkpoints / f"{name}.ckpt"
        if not path.is_file():
            raise BadInput("RUN", self.path, f"has no checkpoint {path.name} yet")
        return path

    def write_status(self, state: str, **details: Any) -> None:
        """Record running, done, failed or stopped, and where."""
        now = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        self.write_json(
            self.status,
            {
                "status": state,
                "format": FORMAT,
                "time": now,
                "pid": os.getpid(),
                "host": os.uname().nodename,
                **details,
            },
        )

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
        write_text(path, json.dumps(_plain(content), indent=2, allow_nan=False) + "\n")

    @staticmethod
    def read_json(path: Path) -> dict[str, Any]:
        content = json.loads(path.read_text(encoding="utf-8"))
        assert isinstance(content, dict)
        return content


def discard_empty(*folders: Path) -> None:
    """Remove the folders, in order, as far as they are empty."""
    with contextlib.suppress(OSError):
        for folder in folders:
            folder.rmdir()


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and (value != value or abs(value) == float("inf")):
        return None
    return value
