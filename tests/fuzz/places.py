"""What may be in place of a file of a run, and what is in a folder."""

from __future__ import annotations

import os
import shutil
import socket
import stat
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

LARGE = 16 << 20  # bytes of a file that is not compared

Tree = dict[str, tuple[int, bytes]]


def tree(path: Path, without: tuple[Path | None, ...] = ()) -> Tree:
    """All that is in a folder: kind and content by name."""
    found: Tree = {}
    for place, folders, files in os.walk(path):
        folders[:] = [name for name in folders if Path(place, name) not in without]
        for name in (*folders, *files):
            each = Path(place, name)
            kind = stat.S_IFMT(each.lstat().st_mode)
            content = b""
            if stat.S_ISREG(kind):
                content = each.read_bytes() if each.lstat().st_size < LARGE else b"large"
            elif stat.S_ISLNK(kind):
                content = os.fsencode(os.readlink(each))
            found[str(each.relative_to(path))] = kind, content
    return found


KINDS: dict[str, Callable[[Path], None]] = {
    "missing": lambda path: None,
    "empty": lambda path: path.write_bytes(b""),
    "folder": lambda path: path.mkdir(),
    "full folder": lambda path: (path / "inside").mkdir(parents=True),
    "fifo": lambda path: os.mkfifo(path),
    "socket": lambda path: _socket(path),
    "link to itself": lambda path: path.symlink_to(path.name),
    "link to nothing": lambda path: path.symlink_to("../nothing"),
    "link to a file outside": lambda path: path.symlink_to(
        "../aside" if path.parent.name == "run" else "../../aside"
    ),
    "link to a folder outside": lambda path: path.symlink_to(
        "../here" if path.parent.name == "run" else "../../here"
    ),
    "link to the status": lambda path: path.symlink_to(path.parent / "status.json"),
    "link to a device": lambda path: path.symlink_to("/dev/zero"),
    "link to a terminal": lambda path: path.symlink_to("/dev/stdin"),
    "sparse": lambda path: _sparse(path),
    "unreadable": lambda path: (path.write_bytes(b"x"), path.chmod(0))[0],
}


def become(path: Path, kind: str) -> None:
    """Put something of a kind in the place of `path`."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    KINDS[kind](path)


def _socket(path: Path) -> None:
    with TemporaryDirectory() as short, socket.socket(socket.AF_UNIX) as made:
        made.bind(f"{short}/socket")  # its path must be short
        os.rename(f"{short}/socket", path)


def _sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(64 << 30)
