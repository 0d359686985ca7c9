"""Contestants in turns, each in a process of its own: a machine that slows down slows all of them."""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from settings import Settings

WORKER = Path(__file__).with_name("worker.py")
Answer = dict[str, Any]


class WorkerFailed(Exception):
    """A contestant's process ended; the message is its last word."""


class Worker:
    """The parent's end of a worker.

    Args:
        where: module:class of the contestant.
        settings: for it.
        before: called in the process before it becomes the worker.
    """

    def __init__(self, where: str, settings: Settings, *, before: Callable[[], None] | None = None) -> None:
        self.errors = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115 - closed in `close`
        self.process = subprocess.Popen(
            [sys.executable, str(WORKER), where, settings.dump()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            env={**os.environ, "OMP_NUM_THREADS": str(settings.threads)},
            text=True,
            bufsize=1,
            preexec_fn=before,
        )

    def read(self) -> Answer:
        """The next answer; raises `WorkerFailed` where there is none."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if line:
            answer = json.loads(line)
            if "error" in answer:
                raise WorkerFailed(answer["error"])
            return answer
        # it had no time to say why: a signal, or the system's memory was full
        code = self.process.wait()
        self.errors.seek(0)
        lines = [text.strip() for text in self.errors.read().splitlines() if text.strip()]
        raise WorkerFailed(f"ended with code {code}; {lines[-1] if lines else 'it said nothing'}")

    def turn(self, seed: int) -> Answer:
        """Let it work once."""
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # reading says why
            self.process.stdin.write(f"{seed}\n")
        return self.read()

    def close(self) -> None:
        """End the process and wait until it is gone."""
        self.process.kill()
        self.process.communicate()
        self.errors.close()


class Rounds(NamedTuple):
    """What came of it.

    Attributes:
        answers: in the order of turns, by contestant; one that failed has none.
        ready: what each said when it was ready.
        failures: the last word of those that failed.
    """

    answers: dict[str, list[Answer]]
    ready: dict[str, Answer]
    failures: dict[str, str]

    def speeds(self, name: str, clock: str = "seconds") -> list[float]:
        """Images per second of each turn; `clock`: or per CPU second."""
        return [answer["images"] / answer[clock] for answer in self.answers[name]]

    def ratios(self, name: str, reference: str, clock: str = "seconds") -> list[float]:
        """How many times as fast as the reference, turn by turn; none where that failed."""
        if reference not in self.answers:
            return []
        pairs = zip(self.speeds(name, clock), self.speeds(reference, clock), strict=True)
        return [own / other for own, other in pairs]

    def speed(self, name: str) -> float:
        """The median of them."""
        return statistics.median(self.speeds(name))

    def median(self, name: str, field: str) -> float:
        """Of what a contestant answered."""
        return statistics.median(answer[field] for answer in self.answers[name])


def take_turns(contestants: Mapping[str, str], settings: Settings, *, turns: int) -> Rounds:
    """Start each contestant, then let them work one after another, beginning with another one each time.

    Args:
        contestants: module:class by name.
        settings: for all of them.
        turns: how often each works.
    """
    rounds = Rounds({}, {}, {})
    workers: dict[str, Worker] = {}

    def attempt(name: str, what: Callable[[], Answer]) -> Answer | None:
        try:
            return what()
        except WorkerFailed as failure:
            rounds.failures[name] = str(failure)
            rounds.answers.pop(name, None)
            workers.pop(name).close()
            print(f"  {name} failed: {failure}", flush=True)
            return None

    try:
        for name, where in contestants.items():
            workers[name] = Worker(where, settings)
            ready = attempt(name, workers[name].read)
            if ready is not None:
                rounds.ready[name], rounds.answers[name] = ready, []
        for turn in range(turns):
            names = list(workers)
            first = turn % len(names) if names else 0
            for name in names[first:] + names[:first]:
                answer = attempt(name, partial(workers[name].turn, turn + 1))
                if answer is not None:
                    rounds.answers[name].append(answer)
            last = {name: rounds.speeds(name)[-1] for name in rounds.answers}
            shown = "  ".join(f"{name} {speed:,.0f}" for name, speed in last.items())
            print(f"  turn {turn + 1}, images/s: {shown}", flush=True)
    finally:
        for worker in workers.values():
            worker.close()
    return rounds


def spread(ratios: list[float]) -> str:
    """Median and range, as the tables show them."""
    if not ratios:
        return "n/a"
    if set(ratios) == {1.0}:  # the reference itself
        return "1"
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
