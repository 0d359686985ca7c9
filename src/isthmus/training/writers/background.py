"""Writes files during training, in order, in one writer thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection
from contextlib import nullcontext, suppress
from typing import NamedTuple

from isthmus.common.openmp import without_openmp

Job = Callable[[], None]

DEBOUNCE_SECONDS = (
    1.0  # seconds between replaceable jobs, which newer ones supersede: small networks' epochs are shorter
)
ROOM = 256 << 20  # bytes that pending jobs may hold


class _Entry(NamedTuple):
    name: str | None
    job: Job
    came_at: float
    size: int = 0


class Background:
    """Runs jobs in the order in which they were added, in a writer thread.

    A job holds a snapshot of what it writes, which nothing else changes. The error of a job is raised at the
    next call or at the end, and the jobs after it are dropped.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._jobs: list[_Entry] = []
        self._running = False
        self._hurry = False  # a caller waits
        self._woke_at = self._rested_at = float("-inf")
        self._error: BaseException | None = None
        self._thread: threading.Thread | None = None

    def add(self, job: Job, *, size: int = 0) -> None:
        """Run `job` after the pending ones; blocks while they and it hold more than `ROOM` bytes."""
        self._put(None, job, size, replaced=())

    def replace(self, name: str, job: Job, *, over: Collection[str] = (), size: int = 0) -> None:
        """Like `add`, but replaces pending jobs of that name.

        Args:
            name: of the file that the job writes.
            job: writes it.
            over: other names that it writes as well; it replaces their pending jobs, too.
            size: bytes that it holds.
        """
        self._put(name, job, size, replaced=(name, *over))

    def flush(self) -> None:
        """Wait until no job is pending. Raises the error of a job."""
        with self._changed:
            self._wait(lambda: not self._jobs and not self._running)

    def close(self) -> None:
        """Run the pending jobs, and end the thread. Raises the error of a job."""
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
        # the first error is the one to raise
        with suppress(Exception) if kind is not None else nullcontext():
            self.close()

    def _put(self, name: str | None, job: Job, size: int, *, replaced: Collection[str]) -> None:
        def kept() -> list[_Entry]:
            # a job that is due stays: slow jobs before it, and newer ones, would delay it forever
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
        """Wait, without pauses between jobs; raises the error of a job."""
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
        without_openmp()
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
        self._woke_at = now  # jobs that are pending now follow without a pause
        return True
