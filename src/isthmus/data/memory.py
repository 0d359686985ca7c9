"""Whether data are held in memory: as asked, or by what the machine has free; and what can not be.

Free memory is MemAvailable of /proc/meminfo (proc_meminfo(5)), which counts caches that can be dropped;
where there is no /proc, the free pages that POSIX sysconf reports. Where `ulimit -v` (getrlimit(2)) leaves
the process less than that, it is that.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import IO

import numpy as np
import torch
from torch import Tensor

from isthmus.common.errors import BadInput

SHARE = 4  # "auto" takes at most one part in four: the model, its codes and the figures need room too

BLOCK = 1 << 20  # bytes unpacked at a time
MOST = 3 / 4  # of the available memory, for data that must be held
ROW = 32  # bytes of a row besides its values: the split, and the order of an epoch


class NoRoom(ValueError):
    """Data would take more memory than there is."""


def available_memory() -> int:
    """Bytes that can be taken without swapping; 0 where the machine does not say."""
    free, allowed = _free_memory(), _address_space()
    return free if allowed is None else min(free or allowed, allowed)


def _address_space() -> int | None:
    """Bytes that this process may still map; None where nothing limits them."""
    try:
        import resource

        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
        if limit == resource.RLIM_INFINITY:
            return None
        used = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    except (ImportError, OSError):  # there is no such limit on Windows, and no /proc on macOS
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
    """Whether to hold `bytes` of data in memory.

    Args:
        bytes: the size of the data as they would be held.
        in_memory: True and False decide; "auto" holds what takes less than a quarter of available memory.

    Raises:
        BadInput: `in_memory` is none of the three, or True for more than there is room for.
    """
    check_choice("in_memory", in_memory)
    if in_memory is True:
        try:
            check_room(bytes, "the data")
        except NoRoom as error:
            raise BadInput("in_memory", in_memory, f"{error}, or data.in_memory=false") from error
    return in_memory if isinstance(in_memory, bool) else bytes * SHARE < available_memory()


def fits_on_device(bytes: int, device: torch.device, on_device: str | bool) -> bool:
    """Whether to hold `bytes` of data on a device: the same, of the device's own memory; never but on CUDA.

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
    """Raise `BadInput` for what is neither "auto" nor True nor False."""
    if value != "auto" and not isinstance(value, bool):
        raise BadInput(key, value, "must be one of auto, true, false")


def check_room(
    size: int, what: str, fix: str = "use fewer rows or columns, or a machine with more memory"
) -> None:
    """Raise `NoRoom` where `size` bytes are more than `MOST` of the memory that is free.

    Args:
        size: all that is held at the same time, before any of it is allocated.
        what: begins the message: "the array x".
        fix: ends it.
    """
    available = available_memory()
    if available and size > available * MOST:
        raise NoRoom(
            f"{what} would take {_shown(size)} of memory, more than three quarters of the "
            f"{_shown(available)} that are free; {fix}"
        )


def _shown(size: int) -> str:
    size = min(size, 10**18)  # a file may say any number
    return f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{size / 1e6:,.0f} MB"


def unpack(file: IO[bytes], size: int, what: str) -> np.ndarray:
    """The next `size` bytes of a compressed file, fewer where it ends early, and never more.

    Args:
        file: that unpacks as it is read.
        size: as the file's header says, before any of it is unpacked.
        what: see `check_room`, which is asked first.
    """
    check_room(size, what)
    content = np.empty(size, np.uint8)  # memory is taken as it is written to, and the header may lie
    left = content.data
    while left and (block := file.read(min(BLOCK, len(left)))):
        left[: len(block)] = block
        left = left[len(block) :]
    return content[: size - len(left)]


def take_rows(values: Tensor, rows: Tensor) -> Tensor:
    """`values[rows]`; of rows that follow one another a view, for reading alone. Shapes: [N, ...], [B]."""
    if len(rows) > 1:
        first, end = int(rows[0]), int(rows[-1]) + 1
        if end - first == len(rows) and torch.equal(rows, torch.arange(first, end)):
            return values[first:end]
    return values.index_select(0, rows)
