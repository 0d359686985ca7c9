"""The content of status.json: the state of a run, and the process that trains it."""

from __future__ import annotations

import os
import time
from typing import Any

from isthmus.runs.folder.migrations import FORMAT


def is_alive(status: dict[str, Any]) -> bool:
    """Whether the process named in a status is alive on this machine."""
    if status.get("host") != os.uname().nodename or not isinstance(status.get("pid"), int):
        return False
    try:
        os.kill(status["pid"], 0)
    except PermissionError:
        return True
    except (OSError, OverflowError):
        return False
    return True


def status_of(state: str, **details: Any) -> dict[str, Any]:
    """The status of a run that this process trains: state, time, process and details."""
    return {
        "status": state,
        "format": FORMAT,
        "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "pid": os.getpid(),
        "host": os.uname().nodename,
        **({"job": job} if (job := os.environ.get("SLURM_JOB_ID")) else {}),
        **details,
    }
