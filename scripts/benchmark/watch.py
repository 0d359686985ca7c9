"""How much memory a process and its children take, looked at every 50 ms.

Pages of files are a cache: the system takes them back when it needs them. Of the other, anonymous ones, those
that processes share after a fork are there once (proc_pid_status(5), proc_pid_smaps(5)).
"""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import NamedTuple

INTERVAL = 0.05  # seconds


class Sample(NamedTuple):
    """Bytes, summed over the processes.

    Attributes:
        at: on the clock of time.time().
        resident: VmRSS, all pages that are in memory.
        anonymous: RssAnon, those of no file, shared ones as often as they are shared.
        own: Pss_Anon, the same with each page counted once; RssAnon before Linux 5.9.
    """

    at: float
    resident: int
    anonymous: int
    own: int


class Watch(threading.Thread):
    """Looks until it is told to stop.

    Args:
        pid: of the process.
    """

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.pid = pid
        self.samples: list[Sample] = []
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.wait(INTERVAL):
            sizes = [_sizes(pid) for pid in _family(self.pid)]
            self.samples.append(Sample(time.time(), *map(sum, zip(*sizes, strict=True))))

    def stop(self) -> list[Sample]:
        """What was seen."""
        self._over.set()
        self.join()
        return self.samples


def _family(pid: int) -> list[int]:
    """A process and all that come from it."""
    try:
        tasks = [task.read_text(encoding="ascii") for task in Path(f"/proc/{pid}/task").glob("*/children")]
    except OSError:
        return [pid]
    children = [int(child) for text in tasks for child in text.split()]
    return [pid, *(each for child in children for each in _family(child))]


def _sizes(pid: int) -> tuple[int, int, int]:
    """VmRSS, RssAnon and Pss_Anon of a process in bytes; zeros for one that is gone."""
    found: dict[str, int] = {}
    for file in ("status", "smaps_rollup"):
        try:
            lines = Path(f"/proc/{pid}/{file}").read_text(encoding="utf-8").splitlines()
        except OSError:
            continue
        fields = (line.partition(":") for line in lines if line.endswith(" kB"))
        found |= {name: int(value.split()[0]) * 1024 for name, _, value in fields}
    anonymous = found.get("RssAnon", 0)
    return found.get("VmRSS", 0), anonymous, found.get("Pss_Anon", anonymous)
