"""What the fuzz tests share: a process for each target, and the limits of its cases.

`run_alone` starts a test module as a script. There, `explore` gives cases to a check, and `bounded` stops a
check that takes too much time or memory.
"""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

FOLDER = Path(__file__).parent
SECONDS = 10  # of work for a case, whatever else the machine does
LONGEST = 60  # seconds for a case that waits
MOST = 300 << 20  # bytes of memory that a case may take
LIMIT = 16 << 30  # bytes of addresses, so that what takes more fails instead of swapping


def cases(default: int) -> int:
    """How many there are of each target."""
    return int(os.environ.get("FUZZ_CASES") or default)


def run_alone(module: str, target: str, folder: Path, *, count: int) -> None:
    """Run a module of this folder as a script with the arguments TARGET and FOLDER; it must print nothing.

    Args:
        module: its name.
        target: of its targets.
        folder: to write to.
        count: of cases.
    """
    path = os.pathsep.join([str(FOLDER.parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    ended = subprocess.run(
        [sys.executable, "-m", f"{FOLDER.name}.{module}", target, str(folder)],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": path,
            "HYPOTHESIS_STORAGE_DIRECTORY": str(folder / "hypothesis"),
        },
        capture_output=True,
        text=True,
        timeout=120 + count * LONGEST,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, ""), f"{ended.returncode}\n{ended.stdout}{ended.stderr}"
    assert ended.stdout == ""


def explore(strategy: st.SearchStrategy[Any], check: Callable[[Any], None], *, count: int) -> None:
    """Call `check` with cases drawn from `strategy`: the same ones each time, so that no change is held up by
    chance, or others where `FUZZ_CASES` is set. The first that fails is raised; to make it smaller would take
    minutes, and it lies in the folder of the test.
    """
    resource.setrlimit(resource.RLIMIT_AS, (LIMIT, LIMIT))

    @settings(
        max_examples=count,
        derandomize=not os.environ.get("FUZZ_CASES"),
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def every(case: Any) -> None:
        check(case)

    every()


@contextmanager
def bounded() -> Iterator[None]:
    """Fail where what is done inside takes more than `SECONDS`, `LONGEST` or `MOST`."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak begins again
    before, began = memory("VmRSS"), time.process_time()
    signal.signal(signal.SIGALRM, _too_long)
    signal.setitimer(signal.ITIMER_REAL, LONGEST)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    taken, took = memory("VmHWM") - before, time.process_time() - began
    assert taken < MOST, f"{taken >> 20} MB"
    assert took < SECONDS, f"{took:.1f} s"


def _too_long(signum: int, frame: FrameType | None) -> NoReturn:
    raise AssertionError(f"waits for more than {LONGEST} s")


def memory(what: str) -> int:
    """Bytes of VmRSS or VmHWM of this process (proc_pid_status(5))."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith(what)) * 1024
