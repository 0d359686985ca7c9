"""Writing files beside the training, in one thread and in order."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection
from contextlib import nullcontext, suppress
from typing import NamedTuple

from isthmus.common.threads import work_alone

Job = Callable[[], None]

DEBOUNCE_SECONDS = (
    1.0  # seconds after jobs that newer ones may replace: epochs of a small network are shorter
)
ROOM = 256 << 20  # bytes that may wait to be written


class _Entry(NamedTuple):
    name: str | None
    job: Job
    came_at: float
    size: int = 0


class Background:
    """Runs jobs one after another, in the order they came, in a thread of its own.

    Jobs get what they write as it was when they were made; nobody else changes it. What goes wrong in a job
    is raised at the next call or at the end, and what was to come after it is dropped.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._jobs: list[_Entry] = []
        self._running = False
        self._hurry = False  # somebody waits
        self._woke_at = self._rested_at = float("-inf")
        self._error: BaseException | None = None
        self._thread: threading.Thread | None = None

    def add(self, job: Job, *, size: int = 0) -> None:
        """Run `job` when those before it are done; waits while it and they hold too many bytes."""
        self._put(None, job, size, replaced=())

    def replace(self, name: str, job: Job, *, over: Collection[str] = (), size: int = 0) -> None:
        """The same, and what rests under this name is not done any more.

        Args:
            name: of what it writes.
            job: writes it.
            over: other names that it writes as well; what rests under these is dropped, too.
            size: bytes that it holds.
        """
        self._put(name, job, size, replaced=(name, *over))

    def flush(self) -> None:
        """Wait until everything is done. Raises what went wrong."""
        with self._changed:
            self._wait(lambda: not self._jobs and not self._running)

    def close(self) -> None:
        """Do what is left, and end the thread. Raises what went wrong."""
        try:
            self.flush()
        finally:
            with self._changed:
                thread, self._thread = self._thread, None
                self._changed.notify_all()
            if thread is not None:
                thread.join()

    def __enter__(self) -> Background:
        return self

    def __exit__(self, kind: type[BaseException] | None, *exception: object) -> None:
        # what went wrong first is what is told
        with suppress(Exception) if kind is not None else nullcontext():
            self.close()

    def _put(self, name: str | None, job: Job, size: int, *, replaced: Collection[str]) -> None:
        def kept() -> list[_Entry]:
            # what has rested is done: slow jobs before it, and newer ones, would put it off for ever
            return [each for each in self._jobs if each.name not in replaced or each.came_at <= self._woke_at]

        with self._changed:
            self._wait(lambda: not self._jobs or sum(each.size for each in kept()) + size <= ROOM)
            self._jobs = [*kept(), _Entry(name, job, time.monotonic(), size)]
            self._begin()

    def _begin(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="isthmus-files", daemon=True)
            self._thread.start()
        self._changed.notify_all()

    def _wait(self, condition: Callable[[], bool]) -> None:
        """Wait without rests in between; raises what went wrong."""
        self._hurry = True
        self._changed.notify_all()
        try:
            self._changed.wait_for(condition)
        finally:
            self._hurry = False
        self._raise()

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
                    self._rested_at = time.monotonic() + DEBOUNCE_SECONDS
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
