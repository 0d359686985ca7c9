"""A small disk that can be filled, grown and made read-only, in a mount namespace of its own."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

# as an ordinary user who is root among his own mounts, or as root where the system does not allow that
WAYS = (("-r", "-m"), ("-m",))


class SmallDisk:
    """A tmpfs that the processes started by `command` see.

    Args:
        keeper: a process in the namespace.
        place: where the disk is there.
        entering: options of nsenter.
    """

    def __init__(self, keeper: subprocess.Popen[str], place: Path, entering: Sequence[str]) -> None:
        self.place = place
        self.seen = Path(f"/proc/{keeper.pid}/root{place}")  # from outside
        self.entering = (*entering, "-t", str(keeper.pid), f"--wd={place}")

    def command(self, *arguments: str) -> list[str]:
        """A command line that runs another one where the disk is."""
        return ["nsenter", *self.entering, *arguments]

    def remount(self, options: str) -> None:
        """Change the size, or rw to ro."""
        subprocess.run(self.command("mount", "-o", f"remount,{options}", str(self.place)), check=True)

    def fill(self) -> None:
        """Leave no byte free."""
        with (self.seen / "filler").open("ab", buffering=0) as file:
            for block in (1 << 18, 1 << 12):  # large ones first: the run goes on meanwhile
                with contextlib.suppress(OSError):
                    while file.write(bytes(block)):
                        pass


@contextlib.contextmanager
def small_disk(place: Path, *, megabytes: int) -> Iterator[SmallDisk]:
    """Mount a tmpfs at `place`.

    Raises:
        PermissionError: where that is not allowed.
    """
    mount = f"mount -t tmpfs -o size={megabytes}m none {place} && echo mounted && exec sleep 3600"
    for way in WAYS if shutil.which("unshare") and shutil.which("nsenter") else ():
        with subprocess.Popen(
            ["unshare", *way, "sh", "-c", mount],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as keeper:
            assert keeper.stdout is not None
            try:
                if keeper.stdout.readline():
                    entering = ("-U", "--preserve-credentials", "-m") if "-r" in way else way
                    yield SmallDisk(keeper, place, entering)
                    return
            finally:
                keeper.kill()
    raise PermissionError("a tmpfs cannot be mounted, neither as this user nor in a namespace of its own")
