"""Where a run comes from: code, packages, hardware, threads, data, seed and command."""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
from email.message import Message
from email.parser import HeaderParser
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any

import torch

import isthmus

LONGEST_DIFF = 1_000_000  # characters
# A repository with parts missing would have git fetch them, with a program that it names.
OFFLINE_GIT = {"GIT_ALLOW_PROTOCOL": "none", "GIT_NO_LAZY_FETCH": "1"}


def provenance(
    *, seed: int, data: dict[str, Any], experiment: str, threads: int, processes: int
) -> dict[str, Any]:
    """All of it, in plain types.

    Args:
        seed: of the run.
        data: what the DataModule says of itself.
        experiment: what the run is called.
        threads: CPU threads of each training process.
        processes: how many train together.
    """
    where = environment(threads=threads, processes=processes)
    return {**where, "experiment": experiment, "seed": seed, "data": data}


def environment(*, threads: int, processes: int) -> dict[str, Any]:
    """What a run is trained by and on, whatever it is that is trained.

    Args:
        threads: CPU threads of each training process.
        processes: how many train together.
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


def packages() -> dict[str, str]:
    """Names and versions of what is installed; of one that is there twice, the one that is imported."""
    found = [_head(each) for each in reversed(list(distributions()))]
    versions = {str(head["Name"]): str(head["Version"]) for head in found if head["Name"]}
    return dict(sorted(versions.items(), key=lambda pair: pair[0].lower()))


def _head(package: Distribution) -> Message:
    """What a package says of itself, without its description, which takes long to parse."""
    files = ("METADATA", "PKG-INFO", "")  # the last: a package that is one file of its own, .egg-info
    text = next(filter(None, map(package.read_text, files)), "")
    return HeaderParser().parsestr(text.partition("\n\n")[0])


def command() -> str:
    """What was typed."""
    return f"{Path(sys.argv[0]).name} {shlex.join(sys.argv[1:])}".strip()


def repository(folder: Path) -> dict[str, Any] | None:
    """Commit and uncommitted changes of the git repository around `folder`, or None where there is none.

    The folder may be a stranger's, and a repository's own config can name programs for git to run: none is.
    """
    settings = {"core.fsmonitor": "false", "core.hooksPath": os.devnull}

    def git(*arguments: str) -> str:
        numbered = enumerate(settings.items())
        extra = {
            f"GIT_CONFIG_{what}_{at}": text
            for at, pair in numbered
            for what, text in zip(("KEY", "VALUE"), pair, strict=True)
        }
        return subprocess.run(
            ["git", "--no-optional-locks", "-C", str(folder), *arguments],
            env={**os.environ, **OFFLINE_GIT, "GIT_CONFIG_COUNT": str(len(settings)), **extra},
            capture_output=True,
            text=True,
            check=True,
            errors="replace",
        ).stdout.strip()

    try:
        tracked = git("ls-files", "--error-unmatch", ".") != ""
        if not tracked:
            return None
        settings |= _no_filters(git("config", "--show-scope", "--name-only", "--list", "-z").split("\0"))
        diff = git("diff", "--no-ext-diff", "--no-textconv", "--ignore-submodules=dirty", "HEAD")
        untracked = git("ls-files", "--others", "--exclude-standard", "--full-name").splitlines()
        return {
            "commit": git("rev-parse", "HEAD"),
            "dirty": bool(diff or untracked),
            "untracked": untracked,
            "diff": diff[:LONGEST_DIFF],
            "diff_cut": len(diff) > LONGEST_DIFF,
        }
    except (OSError, subprocess.CalledProcessError):
        return None


def _no_filters(listed: list[str]) -> dict[str, str]:
    """Settings that switch off the filters of a repository's own; the person's, such as Git LFS, stay.

    Args:
        listed: scope and name of each setting there is, one after the other.
    """
    own = {
        name.rpartition(".")[0]
        for scope, name in zip(listed[::2], listed[1::2], strict=False)
        if scope in ("local", "worktree") and name.startswith("filter.")
    }
    off = {"clean": "", "smudge": "", "process": "", "required": "false"}
    return {f"{name}.{what}": value for name in sorted(own) for what, value in off.items()}


def hardware() -> dict[str, Any]:
    """The machine, and what torch makes of it."""
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
