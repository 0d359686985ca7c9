"""Guards stdout and stderr: control characters are escaped, write errors ignored. Imports no torch.

Much of the output comes from untrusted files: names of regularizers, labels, paths, error messages.
Control sequences: https://invisible-island.net/xterm/ctlseqs/ctlseqs.html; text direction:
https://trojansource.codes.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from isthmus.common.messages import escaped


class GuardedStream:
    """A text stream that ignores write errors and escapes control characters.

    Args:
        stream: the wrapped stream.
        escapes: False for a progress bar, which moves the cursor.

    Attributes:
        failure: the first write error; None if there is none. A broken pipe does not count.
    """

    failure: Exception | None = None

    def __init__(self, stream: TextIO, *, escapes: bool = True) -> None:
        self._stream = stream
        self._escapes = escapes

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def unescaped(self) -> GuardedStream:
        """The same stream without escaping, for text that may move the cursor."""
        return GuardedStream(self._stream, escapes=False)

    def write(self, text: str) -> int:
        with self._ignoring_errors():
            self._stream.write(escaped(text) if self._escapes else text)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        with self._ignoring_errors():
            self._stream.flush()

    @contextmanager
    def _ignoring_errors(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            pass
        except (OSError, ValueError) as error:  # ValueError: the stream was closed
            self.failure = self.failure or error


def guard_streams() -> None:
    """Guard stdout and stderr of this process.

    Training continues if the disk is full, the terminal is gone or the reader closed the pipe.
    """
    _fill_closed()
    for name, number in (("stdout", 1), ("stderr", 2)):
        stream = getattr(sys, name)
        if isinstance(stream, GuardedStream):
            continue
        if stream is None:
            stream = os.fdopen(number, "w", encoding="utf-8", closefd=False)
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
        setattr(sys, name, GuardedStream(stream))


def write_error() -> str | None:
    """The write error that made the output on stdout incomplete, or None."""
    sys.stdout.flush()
    error = getattr(sys.stdout, "failure", None)
    return error and str(getattr(error, "strerror", None) or error)


def _fill_closed() -> None:
    """Open closed standard streams as /dev/null. Otherwise a file of the run would get that file descriptor,
    and libraries would print into it."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError as error:
            if error.errno != errno.EBADF:
                raise
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
