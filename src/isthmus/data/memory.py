"""Decides whether data are kept in memory, and refuses data that need more than there is.

Available memory is MemAvailable of /proc/meminfo (proc_meminfo(5)), which includes reclaimable caches, or
without /proc the free pages of POSIX sysconf; at most what `ulimit -v` (getrlimit(2)) leaves to the process.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import IO

import numpy as np
import torch
from torch import Tensor

from isthmus.common.errors import BadInput

SHARE = 4  # "auto" takes at most 1/4 of the memory: model, codes and figures need memory, too

BLOCK = 1 << 20  # bytes decompressed at a time
MOST = 3 / 4  # fraction of the available memory for data that must be in memory
ROW = 32  # bytes per row besides its values: the split, and the order of an epoch


class NoRoom(ValueError):
    """Data need more memory than is available."""


def available_memory() -> int:
    """Bytes that can be allocated without swapping; 0 if unknown."""
    free, allowed = _free_memory(), _address_space()
    return free if allowed is None else min(free or allowed, allowed)


def _address_space() -> int | None:
    """Bytes left of the limit of this process's address space; None without a limit."""
    try:
        import resource

        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
        if limit == resource.RLIM_INFINITY:
            return None
        used = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    except (ImportError, OSError):  # Windows has no such limit, and macOS no /proc
        return None
    return max(1, limit - used * resource.getpagesize())


def _free_memory() -> int:
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
    """Whether to keep `bytes` of data in memory.

    Args:
        bytes: size of the data in memory.
        in_memory: True, False, or "auto" for less than a quarter of the available memory.

    Raises:
        BadInput: `in_memory` is none of the three, or True without enough memory.
    """
    check_choice("in_memory", in_memory)
    if in_memory is True:
        try:
            check_room(bytes, "the data")
        except NoRoom as error:
            raise BadInput("in_memory", in_memory, f"{error}, or data.in_memory=false") from error
    return in_memory if isinstance(in_memory, bool) else bytes * SHARE < available_memory()


def fits_on_device(bytes: int, device: torch.device, on_device: str | bool) -> bool:
    """Whether to keep `bytes` of data in the memory of a device, by the same rule; only on CUDA.

    Raises:
        BadInput: `on_device` is none of the three.
    """
    check_choice("on_device", on_device)
    if device.type != "cuda":
        return False
    if isinstance(on_device, bool):
        return on_device
    return bytes * SHARE < torch.cuda.mem_get_info(device)[0]


def check_choice(key: str, value: str | bool) -> None:
    """Raise `BadInput` unless `value` is "auto", True or False."""
    if value != "auto" and not isinstance(value, bool):
        raise BadInput(key, value, "must be one of auto, true, false")


def check_room(
    size: int, what: str, fix: str = "use fewer rows or columns, or a machine with more memory"
) -> None:
    """Raise `NoRoom` if `size` bytes are more than `MOST` of the available memory.

    Args:
        size: bytes that will be in memory at the same time; none of them is allocated yet.
        what: begins the message: "the array x".
        fix: ends the message.
    """
    available = available_memory()
    if available and size > available * MOST:
        raise NoRoom(
            f"{what} would take {_readable(size)} of memory, more than three quarters of the "
            f"{_readable(available)} that are free; {fix}"
        )


def _readable(size: int) -> str:
    size = min(size, 10**18)  # a file may claim any size
    return f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{size / 1e6:,.0f} MB"


def unpack(file: IO[bytes], size: int, what: str) -> np.ndarray:
    """Read at most `size` bytes of decompressed data; fewer if the file ends early.

    Args:
        file: decompresses while it is read.
        size: according to the file's header.
        what: see `check_room`, which is called first.
    """
    check_room(size, what)
    content = np.empty(size, np.uint8)  # pages are allocated when written to: a false header costs nothing
    left = content.data
    while left and (block := file.read(min(BLOCK, len(left)))):
        left[: len(block)] = block
        left = left[len(block) :]
    return content[: size - len(left)]


def take_rows(values: Tensor, rows: Tensor) -> Tensor:
    """`values[rows]`; a view for consecutive rows, which callers must not modify. Shapes: [N, ...], [B]."""
    if len(rows) > 1:
        first, end = int(rows[0]), int(rows[-1]) + 1
        if end - first == len(rows) and torch.equal(rows, torch.arange(first, end)):
            return values[first:end]
    return values.index_select(0, rows)
