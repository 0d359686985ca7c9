"""The provenance of a run: code, packages, hardware, threads, data, seed and command."""

from __future__ import annotations

import os
import platform
import shlex
import sys
from collections.abc import Mapping
from email.message import Message
from email.parser import HeaderParser
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any

import torch

import isthmus
from isthmus.runs.folder.git import repository


def provenance(
    *, seed: int, data: dict[str, Any], experiment: str, threads: int, processes: int
) -> dict[str, Any]:
    """The provenance in plain types.

    Args:
        seed: of the run.
        data: description by the DataModule.
        experiment: name of the experiment.
        threads: CPU threads per training process.
        processes: number of training processes.
    """
    where = environment(threads=threads, processes=processes)
    return {**where, "experiment": experiment, "seed": seed, "data": data}


def environment(*, threads: int, processes: int) -> dict[str, Any]:
    """The part of the provenance without experiment, seed and data: software, hardware and threads.

    Args:
        threads: CPU threads per training process.
        processes: number of training processes.
    """
    return {
        "isthmus": isthmus.__version__,
        "command": command(),
        "code": {
            "isthmus": repository(Path(isthmus.__file__).parent),
            "working_directory": repository(Path.cwd()),
        },
        "python": platform.python_version(),
        "packages": packages(),
        "hardware": hardware(),
        "threads": threads,
        "interop_threads": torch.get_num_interop_threads(),
        "processes": processes,
    }


def recorded_threads(provenance: Mapping[str, Any], *, processes: int) -> int | None:
    """CPU threads per process of a run, or None if unknown.

    Args:
        provenance: of the run; it is untrusted.
        processes: number that trained it; older records contain only the threads of the first process.
    """
    threads, recorded = provenance.get("threads"), provenance.get("hardware")
    if threads is None and processes == 1 and isinstance(recorded, Mapping):
        threads = recorded.get("threads")
    return threads if isinstance(threads, int) and not isinstance(threads, bool) and threads > 0 else None


def packages() -> dict[str, str]:
    """Versions of installed packages by name; of duplicates, the one that is imported."""
    found = [_head(each) for each in reversed(list(distributions()))]
    versions = {str(head["Name"]): str(head["Version"]) for head in found if head["Name"]}
    return dict(sorted(versions.items(), key=lambda pair: pair[0].lower()))


def _head(package: Distribution) -> Message:
    """The metadata of a package, without its description, which is slow to parse."""
    files = ("METADATA", "PKG-INFO", "")  # "": the metadata is a single .egg-info file
    text = next(filter(None, map(package.read_text, files)), "")
    return HeaderParser().parsestr(text.partition("\n\n")[0])


def command() -> str:
    """The command line of this process."""
    return f"{Path(sys.argv[0]).name} {shlex.join(sys.argv[1:])}".strip()


def hardware() -> dict[str, Any]:
    """The machine, and the hardware that torch uses."""
    return {
        "machine": platform.machine(),
        "system": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "mkl": torch.backends.mkl.is_available(),
        "onednn": torch.backends.mkldnn.is_available(),
        "gpus": [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())],
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()
