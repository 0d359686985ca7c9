"""What is printed, whether or not anybody reads it. Imports no torch."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO


class _Outlasting:
    """A text stream that goes on without whoever read it.

    Args:
        stream: the stream.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        with self._pipe_may_break():
            return self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with self._pipe_may_break():
            self._stream.flush()

    @contextmanager
    def _pipe_may_break(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)


def outlast_readers() -> None:
    """Let this process print into nothing when whoever read what it printed has gone.

    `isthmus train | head` should not end training, and `isthmus show | head` is no error.
    """
    sys.stdout, sys.stderr = (
        stream if stream is None or isinstance(stream, _Outlasting) else _Outlasting(stream)
        for stream in (sys.stdout, sys.stderr)
    )
