"""A memory limit for a child process: a control group of its own, where this process may make one.

https://docs.kernel.org/admin-guide/cgroup-v2.html
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MOUNT = Path("/sys/fs/cgroup")


@contextmanager
def limited(limit: int) -> Iterator[Path | None]:
    """A group inside of this process' own whose processes get `limit` bytes and no swap; else None."""
    group = _own_group()
    if group is None:
        yield None
        return
    made = group / f"isthmus-benchmark-{os.getpid()}"
    try:
        made.mkdir()
    except OSError:
        yield None
        return
    try:
        yield made if _set(made, limit) else None
    finally:
        with contextlib.suppress(OSError):
            made.rmdir()


def _own_group() -> Path | None:
    """The folder of this process' group; None on a machine without version 2."""
    if not (MOUNT / "cgroup.controllers").exists():
        return None
    for line in Path("/proc/self/cgroup").read_text(encoding="ascii").splitlines():
        if line.startswith("0::"):
            return MOUNT / line.removeprefix("0::").lstrip("/")
    return None


def _set(group: Path, limit: int) -> bool:
    try:
        (group / "memory.max").write_text(str(limit), encoding="ascii")
        (group / "memory.swap.max").write_text("0", encoding="ascii")
    except OSError:  # the memory controller is not handed down to it
        return False
    return True
