"""Whether data are held in memory: as asked, or by what the machine has free.

Free memory is MemAvailable of /proc/meminfo (proc_meminfo(5)), which counts caches that can be dropped;
where there is no /proc, the free pages that POSIX sysconf reports.
"""

from __future__ import annotations

import os
from pathlib import Path

from isthmus.core.errors import BadInput

SHARE = 4  # "auto" takes at most one part in four: the model, its codes and the figures need room too


def available_memory() -> int:
    """Bytes that can be taken without swapping; 0 where the machine does not say."""
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    for pages in ("SC_AVPHYS_PAGES", "SC_PHYS_PAGES"):  # macOS has the second one only
        try:
            return os.sysconf(pages) * os.sysconf("SC_PAGE_SIZE")
        except (ValueError, OSError, AttributeError):
            continue
    return 0


def fits_in_memory(bytes: int, in_memory: str | bool) -> bool:
    """Whether to hold `bytes` of data in memory.

    Args:
        bytes: the size of the data as they would be held.
        in_memory: True and False decide; "auto" holds what takes less than a quarter of available memory.

    Raises:
        BadInput: `in_memory` is none of the three.
    """
    if isinstance(in_memory, bool):
        return in_memory
    if in_memory != "auto":
        raise BadInput("in_memory", in_memory, "must be one of auto, true, false")
    return bytes * SHARE < available_memory()
