"""Devices, processes and CPU threads that training uses on this machine."""

from __future__ import annotations

import os
from typing import Any

import torch

from isthmus.common.errors import MOST_THREADS, BadInput


def device_type(accelerator: str) -> str:
    """The device type that `trainer.accelerator` selects on this machine: cpu, cuda or mps."""
    if accelerator not in ("auto", "gpu"):
        return accelerator
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def check_devices(accelerator: str, devices: Any) -> int:
    """The number of processes that `trainer.devices` selects on this machine.

    Raises:
        BadInput: more devices than available, or no such accelerator.
    """
    available = {
        "gpu": torch.cuda.device_count() or int(torch.backends.mps.is_available()),
        "cuda": torch.cuda.device_count(),
        "mps": int(torch.backends.mps.is_available()),
    }
    kind = device_type(accelerator) if accelerator == "auto" else accelerator
    if kind == "cpu":
        if not isinstance(devices, int) or isinstance(devices, bool) or devices < 1:
            raise BadInput(
                "trainer.devices", devices, "on the CPU must be a number of processes of at least 1"
            )
        if devices > (os.cpu_count() or 1):
            raise BadInput(
                "trainer.devices", devices, f"is more than the {os.cpu_count()} CPU cores there are"
            )
        return devices
    if not available.get(kind):
        raise BadInput(
            "trainer.accelerator", accelerator, "there is none on this machine; use trainer.accelerator=cpu"
        )
    count = available[kind]
    if devices == -1 or devices == "auto":
        return count
    wanted = (
        list(devices)
        if isinstance(devices, list | tuple)
        else range(devices if isinstance(devices, int) else -1)
    )
    if not wanted or any(not isinstance(device, int) or not 0 <= device < count for device in wanted):
        raise BadInput(
            "trainer.devices", devices, f"must name some of the {count} there are; -1 takes them all"
        )
    return len(wanted)


def set_threads(threads: int | None, *, processes: int) -> None:
    """Set the CPU threads of this process; see `threads_of`."""
    torch.set_num_threads(threads_of(threads, processes=processes))


def _openmp_threads() -> int | None:
    """The first number of OMP_NUM_THREADS, which may list one per nesting level (OpenMP 5.2)."""
    first = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    if not first:
        return None
    most = max(MOST_THREADS, os.cpu_count() or 1)
    if not (first.isascii() and first.isdecimal()) or len(first) > 9 or not 0 < int(first) <= most:
        raise BadInput(
            "OMP_NUM_THREADS", first, f"must be a number of threads up to {most}; or set trainer.threads"
        )
    return int(first)


def threads_of(threads: int | None, *, processes: int) -> int:
    """CPU threads of each process.

    Args:
        threads: None for OMP_NUM_THREADS, or if that is unset all cores divided among the processes.
        processes: that train on this machine.
    """
    threads = threads or _openmp_threads()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return threads or max(1, cores // processes)
