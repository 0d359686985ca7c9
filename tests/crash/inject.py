"""Run commands of isthmus, each in a fork of this process, and end or fail them at a chosen file operation.

A program of its own: it reads a request in JSON from each line of its input and answers with one, see
`Request` and `Answer` in injector.py. What is asked for is what audit hooks tell of
(https://docs.python.org/3/library/audit_events.html) before it happens: opening for writing, renaming,
linking, cutting, removing, making folders; and fsync, which has no event.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import json
import os
import pkgutil
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

import isthmus

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
# audit events -> which of their arguments are the paths that are changed
CHANGING = {
    "os.rename": (0, 1),
    "os.link": (1,),
    "os.symlink": (1,),
    "os.remove": (0,),
    "os.mkdir": (0,),
    "os.rmdir": (0,),
    "os.truncate": (0,),
}
USED = (
    "hydra",
    "pytorch_lightning",
    "torchmetrics",
    "sklearn.datasets",
    "torch.utils.tensorboard",
    "PIL.Image",
)
REMOVING = ("os.remove", "os.rmdir")  # a full disk does not mind


class Injection:
    """Counts the file operations below a folder, and does something at one of them.

    Args:
        place: the folder; names without one, as of `dir_fd`, count as well.
        at: the number of the operation, from 0; none where it is negative.
        what: a signal by its name; "EIO" for one operation that fails; "ENOSPC" for a disk that is full from
            then on.
        seen: a file that gets a byte for each operation.
    """

    def __init__(self, place: str, at: int, what: str, seen: int) -> None:
        self._place, self._at, self._what, self._seen = place, at, what, seen
        self._count = 0
        self._last: tuple[Any, ...] = ()
        self._lock = threading.Lock()

    def hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Count an event, see `sys.addaudithook`."""
        if event == "open":
            path, _, flags = arguments
            if flags & WRITING and self._is_here(path):
                self._count_one(event, path)
        elif event in CHANGING and any(self._is_here(arguments[i]) for i in CHANGING[event]):
            self._count_one(event, *arguments)

    def before(self, function: Callable[[Any], None]) -> Callable[[Any], None]:
        """A function that is called with a descriptor, counted."""

        def counted(descriptor: Any) -> None:
            number = descriptor if isinstance(descriptor, int) else descriptor.fileno()
            if self._is_here(os.readlink(f"/proc/self/fd/{number}")):
                self._count_one(function.__name__, descriptor)
            function(descriptor)

        return counted

    def _is_here(self, path: Any) -> bool:
        if isinstance(path, int):
            return False
        name = os.fsdecode(path)
        return not name.startswith("/") or name.startswith(self._place)

    def _count_one(self, event: str, *of: Any) -> None:
        with self._lock:
            if (event, *of) == self._last:  # TensorBoard opens a file for each of its lines
                return
            self._last = (event, *of)
            number, self._count = self._count, self._count + 1
            os.write(self._seen, b".")
        if self._at < 0 or number < self._at:
            return
        named = next((path for path in of if isinstance(path, str | bytes | os.PathLike)), None)
        if self._what == "ENOSPC" and event not in REMOVING:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), named)
        if number > self._at:
            return
        if self._what == "EIO":
            raise OSError(errno.EIO, os.strerror(errno.EIO), named)
        if self._what.startswith("SIG"):
            os.kill(os.getpid(), signal.Signals[self._what])


def run(request: dict[str, Any], seen: int) -> None:
    """Be the command `isthmus`; does not return."""
    os.setsid()
    os.chdir(request["cwd"])
    for number, name in ((0, os.devnull), (1, request["out"]), (2, request["err"])):
        os.dup2(os.open(name, os.O_RDWR | os.O_CREAT | os.O_TRUNC), number)
    sys.argv = ["isthmus", *request["arguments"]]
    injection = Injection(request["place"], request["at"], request["what"], seen)
    os.fsync = injection.before(os.fsync)
    sys.addaudithook(injection.hook)
    from isthmus.cli.main import command

    command()


def serve(requests: Any, answers: Any) -> None:
    """Answer until there are no more requests; returns in no child."""
    for line in requests:
        request = json.loads(line)
        seen, seeing = os.pipe()
        child = os.fork()
        if not child:
            os.close(seen)
            answers.close()
            run(request, seeing)
        os.close(seeing)
        count = 0
        while got := os.read(seen, 1 << 16):
            count += len(got)
        os.close(seen)
        _, status = os.waitpid(child, 0)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
        answers.write(json.dumps({"code": os.waitstatus_to_exitcode(status), "operations": count}) + "\n")
        answers.flush()


def prepare() -> None:
    """Import what commands use, once for all of them, and let checkpoints follow without a rest."""
    ours = (module.name for module in pkgutil.walk_packages(isthmus.__path__, "isthmus."))
    for name in (*USED, *ours):
        if name != "isthmus.__main__":
            with contextlib.suppress(ImportError):  # of packages that are no part of an installation
                importlib.import_module(name)
    from isthmus.training.writers import background

    background.DEBOUNCE_SECONDS = 0.0


if __name__ == "__main__":
    prepare()
    serve(sys.stdin, os.fdopen(os.dup(1), "w"))
