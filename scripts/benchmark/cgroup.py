"""A memory limit for a child process: a control group inside of this process' own, where it may make one.

https://docs.kernel.org/admin-guide/cgroup-v2.html, and
https://docs.kernel.org/admin-guide/cgroup-v1/memory.html where the older version counts memory.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

MOUNT = Path("/sys/fs/cgroup")
TRIES = 50  # the kernel lets go of a group whose last process has just ended a moment later


class Group(NamedTuple):
    """A control group.

    Attributes:
        folder: of it.
        limit: the file with its limit in bytes.
        peak: the file with the most it had, pages of files included.
    """

    folder: Path
    limit: str
    peak: str

    def join(self) -> None:
        """Put this process into it."""
        (self.folder / "cgroup.procs").write_text(str(os.getpid()), encoding="ascii")


@contextmanager
def limited(limit: int) -> Iterator[Group | None]:
    """A group whose processes get `limit` bytes and no swap; None where none can be made."""
    group = _new_group()
    if group is None:
        yield None
        return
    try:
        group.folder.mkdir()
        (group.folder / group.limit).write_text(str(limit), encoding="ascii")
        with contextlib.suppress(OSError):  # there may be no swap to keep it from
            (group.folder / "memory.swap.max").write_text("0", encoding="ascii")
    except OSError:  # not ours to make, or the memory controller is not handed down to it
        group = _removed(group)
    try:
        yield group
    finally:
        if group is not None:
            _removed(group)


def _new_group() -> Group | None:
    """A group inside that of this process, which is still to be made."""
    try:
        lines = Path("/proc/self/cgroup").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    name = f"isthmus-benchmark-{os.getpid()}"
    for line in lines:
        _, controllers, path = line.split(":", 2)
        inside = path.lstrip("/")
        if "memory" in controllers.split(","):
            return Group(
                MOUNT / "memory" / inside / name, "memory.limit_in_bytes", "memory.max_usage_in_bytes"
            )
        if not controllers and (MOUNT / "cgroup.controllers").exists():
            return Group(MOUNT / inside / name, "memory.max", "memory.peak")
    return None


def _removed(group: Group) -> None:
    for _ in range(TRIES):
        try:
            group.folder.rmdir()
        except FileNotFoundError:
            return
        except OSError:
            time.sleep(0.1)
        else:
            return
