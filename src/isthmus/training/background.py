"""Writing files beside the training, in one thread and in order."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

from isthmus.core.threads import work_alone

Job = Callable[[], None]

REST = 1.0  # seconds after jobs that newer ones may replace: epochs of a small network are shorter


class _Entry(NamedTuple):
    name: str | None
    job: Job
    came_at: float


class Background:
    """Runs jobs one after another, in the order they came, in a thread of its own.

    Jobs get what they write as it was when they were made; nobody else changes it. What goes wrong in a job
    is raised at the next call, and what was to come after it is dropped.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._jobs: list[_Entry] = []
        self._running = False
        self._hurry = False  # somebody waits
        self._woke_at = self._rested_at = float("-inf")
        self._error: BaseException | None = None
        self._thread: threading.Thread | None = None

    def add(self, job: Job) -> None:
        """Run `job` when those before it are done."""
        self._enqueue(None, job)

    def renew(self, name: str, job: Job) -> None:
        """The same, and whatever is still to be done under this name is not done any more."""
        self._enqueue(name, job)

    def flush(self) -> None:
        """Wait until everything is done. Raises what went wrong."""
        with self._changed:
            self._hurry = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._jobs and not self._running)
            self._hurry = False
        self._raise()

    def close(self) -> None:
        """Do what is left, and end the thread. What goes wrong now is not told: something else did before."""
        with suppress(Exception):
            self.flush()
        with self._changed:
            thread, self._thread = self._thread, None
            self._changed.notify_all()
        if thread is not None:
            thread.join()

    def __enter__(self) -> Background:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _enqueue(self, name: str | None, job: Job) -> None:
        self._raise()
        with self._changed:
            if name is not None:
                self._jobs = [each for each in self._jobs if each.name != name]
            self._jobs.append(_Entry(name, job, time.monotonic()))
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="isthmus-files", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def _raise(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _work(self) -> None:
        work_alone()
        while (entry := self._next()) is not None:
            try:
                entry.job()
            except BaseException as error:
                with self._changed:
                    self._error = error
                    self._jobs.clear()
            with self._changed:
                self._running = False
                if entry.name is not None:
                    self._rested_at = time.monotonic() + REST
                self._changed.notify_all()

    def _next(self) -> _Entry | None:
        with self._changed:
            while self._thread is threading.current_thread():
                now = time.monotonic()
                if self._jobs and (self._hurry or self._is_due(self._jobs[0], now)):
                    entry = self._jobs.pop(0)
                    self._running = True
                    return entry
                self._changed.wait(self._rested_at - now if self._jobs else None)
        return None

    def _is_due(self, entry: _Entry, now: float) -> bool:
        if entry.name is None or entry.came_at <= self._woke_at:
            return True
        if now < self._rested_at:
            return False
        self._woke_at = now  # those that are there now follow without a rest
        return True
