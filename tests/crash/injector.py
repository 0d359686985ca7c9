"""Asks inject.py to run commands."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

PROGRAM = Path(__file__).with_name("inject.py")


class Ran(NamedTuple):
    """A command that came to its end.

    Attributes:
        code: that it ended with; -9 where it was killed.
        operations: how many file operations it came to, the one that was not done included.
        out: what it printed.
        err: its complaints.
    """

    code: int
    operations: int
    out: str
    err: str


class Injector:
    """Runs commands in `place`, which a file operation ends or fails.

    Args:
        place: a folder; file operations below it count.
    """

    def __init__(self, place: Path) -> None:
        self.place = place
        self._streams = (place.with_name(f"{place.name}.out"), place.with_name(f"{place.name}.err"))
        self._server = subprocess.Popen(
            [sys.executable, str(PROGRAM)],
            env={**os.environ, "COLUMNS": "200", "OMP_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str, at: int = -1, what: str = "SIGKILL", timeout: float = 120) -> Ran:
        """Run `isthmus ARGUMENTS`.

        Args:
            arguments: of the command.
            at: the number of the file operation, from 0, before which something happens; -1 for none.
            what: happens, see `inject.Injection`.
            timeout: in seconds. TimeoutError is raised then.
        """
        out, err = self._streams
        request = {
            "arguments": arguments,
            "cwd": str(self.place),
            "place": str(self.place),
            "at": at,
            "what": what,
            "out": str(out),
            "err": str(err),
        }
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps(request) + "\n")
        self._server.stdin.flush()
        if not select.select([self._server.stdout], [], [], timeout)[0]:
            raise TimeoutError(f"isthmus {' '.join(arguments)} did not end within {timeout} seconds")
        return Ran(**json.loads(self._server.stdout.readline()), out=out.read_text(), err=err.read_text())

    def close(self) -> None:
        """End it, and a command that may still be running."""
        os.killpg(self._server.pid, signal.SIGKILL)
        self._server.communicate()
