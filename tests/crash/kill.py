"""Run a command, and kill it at a chosen moment."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from .watch import Watch

# Moments by what is being written, and at any time. Those of END come when training is over.
WRITES = ("checkpoints", "latents", "figures", "metrics.csv", "events", "status.json")
END = ("results.json", "projector", "status.json", "any time")


class Moment(NamedTuple):
    """When to kill.

    Attributes:
        kind: what is being written at that moment, or "any time".
        at: how far into the run, or into all that is written of this kind, in [0, 1).
    """

    kind: str
    at: float

    def __str__(self) -> str:
        return f"{self.kind} at {self.at:.2f}"


class Pace(NamedTuple):
    """What is known of a config from a run that nobody killed.

    Attributes:
        seconds: from the first file to the end.
        writes: how often something happened to what is written, by kind.
    """

    seconds: float
    writes: dict[str, int]


class Reference(NamedTuple):
    """A run that nobody interrupted.

    Attributes:
        typed: its overrides.
        run: its folder.
        pace: of its training.
    """

    typed: list[str]
    run: Path
    pace: Pace


class Ended(NamedTuple):
    """A command that came to its end.

    Attributes:
        code: that it ended with; -9 where it was killed.
        out: what it printed.
        err: its complaints.
        pace: of this run.
    """

    code: int
    out: str
    err: str
    pace: Pace


# Asked after each thing that happens; may end the process, and says whether it did.
Stop = Callable[[subprocess.Popen[str], Pace], bool]


def plan(draw: random.Random, count: int) -> list[Moment]:
    """Moments to kill one run at: early ones, that leave something to train, and then one at its end."""
    early = draw.sample([*WRITES, *["any time", "checkpoints"] * 2], count - 1)
    moments = [Moment(kind, draw.uniform(0, 1.2 / count)) for kind in early]
    last = draw.choice(END)
    return [*moments, Moment(last, draw.uniform(0, 0.6 if last == "any time" else 1))]


def kind_of(path: Path, run: Path) -> str:
    """What is being written where this file changes, whatever it is called until it is whole."""
    name = path.relative_to(run).parts[0].removeprefix(".")
    if name.startswith("events.out.tfevents"):
        return "events"
    return next((kind for kind in (*WRITES, *END) if name.startswith(kind)), name)


def run_until(
    start: Callable[[], subprocess.Popen[str]],
    run: Path,
    stop: Stop = lambda process, pace: False,
    *,
    timeout: float = 120,
) -> Ended:
    """Run a command to its end, asking `stop` after each thing that happens in its run folder.

    Args:
        start: starts it, in a session of its own.
        run: its run folder, which need not be there yet; its parent must.
        stop: see `Stop`.
        timeout: in seconds. All processes of the command are killed then, and TimeoutError is raised.
    """
    began, now, writes = None, 0.0, Counter[str]()
    with Watch(run.parent) as watch:
        process = start()
        try:
            for event in watch.until(lambda: process.poll() is not None, timeout=timeout):
                now = watch.now()
                if event is not None and run in event.path.parents:
                    began = now if began is None else began
                    writes[kind_of(event.path, run)] += 1
                if began is not None and stop(process, Pace(now - began, writes)):
                    break
            # all processes of the command hold its output open
            out, err = process.communicate(timeout=timeout)
        except BaseException:
            kill_all(process)
            raise
    return Ended(process.returncode, out, err, Pace(now - (began or now), dict(writes)))


def has_come(moment: Moment, pace: Pace, usual: Pace) -> bool:
    """Whether a moment has come in a run, going by what is usual for it."""
    if moment.kind == "any time":
        return pace.seconds >= moment.at * usual.seconds
    return pace.writes.get(moment.kind, 0) > moment.at * usual.writes[moment.kind]


def killing(moment: Moment, usual: Pace) -> Stop:
    """Kills a command and all its processes at a moment."""

    def stop(process: subprocess.Popen[str], pace: Pace) -> bool:
        if not has_come(moment, pace, usual):
            return False
        kill_all(process)
        return True

    return stop


def once(moment: Moment, usual: Pace, do: Callable[[subprocess.Popen[str]], None]) -> Stop:
    """Does something at a moment, and lets the command come to its end."""
    done = False

    def stop(process: subprocess.Popen[str], pace: Pace) -> bool:
        nonlocal done
        if not done and has_come(moment, pace, usual):
            done = True
            do(process)
        return False

    return stop


def kill_all(process: subprocess.Popen[str]) -> None:
    """Kill a command and all its processes, if there are any left."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
