"""Files that are whole or not there: written beside their place, then renamed into it."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

UNFINISHED = ".part"  # ends the names of files that are being written


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a path beside `path` to write to; when all went well it is renamed to `path`.

    A kill leaves the old file or the new one, and perhaps the hidden one beside it, which `sweep`
    removes. Folders that are missing are made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = _beside(path)
    try:
        yield beside
        beside.replace(path)
    finally:
        with contextlib.suppress(OSError):  # a disk that became read-only has a better error to tell
            beside.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path`, whole or not at all."""
    with replacing(path) as beside, beside.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def create_text(path: Path, text: str) -> None:
    """Write `text` to a file that must not be there yet, whole or not at all.

    Raises:
        FileExistsError: where there is one; of several that try at once, one succeeds.
    """
    beside = _beside(path)
    try:
        beside.write_text(text, encoding="utf-8")
        os.link(beside, path)
    except FileExistsError:
        raise
    except OSError:  # some file systems have no links
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    finally:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)


def same_content(source: Path, path: Path) -> None:
    """Make `path` hold what `source` holds, without a second copy where the file system has links."""
    with replacing(path) as beside:
        try:
            os.link(source, beside)
        except OSError:
            shutil.copyfile(source, beside)


def sweep(folder: Path) -> None:
    """Remove what a killed process left half-written in `folder` and below it."""
    for left in list(folder.rglob(f".*{UNFINISHED}")):
        if left.is_dir():
            shutil.rmtree(left)
        else:
            left.unlink()


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}{UNFINISHED}")
