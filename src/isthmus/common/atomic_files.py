"""Files that are whole or not there: written beside their place, then renamed into it."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from isthmus.common.held_folder import check_held

UNFINISHED = ".part"  # ends the names of files that are being written
NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)  # of a file system


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a path beside `path` to write to; when all went well it is renamed to `path`.

    A kill leaves the old file or the new one, and perhaps the hidden one beside it, which `sweep`
    removes.

    Raises:
        FolderLost: the file is in a folder that was held and is lost (see `common.held_folder`).
    """
    check_held(path)
    with _writing_beside(path) as beside:
        yield beside
        check_held(path)
        beside.replace(path)


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
    with _writing_beside(path) as beside:
        beside.write_text(text, encoding="utf-8")
        try:
            os.link(beside, path)
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
            with path.open("x", encoding="utf-8"):
                beside.replace(path)


def same_content(source: Path, path: Path) -> None:
    """Make `path` hold what `source` holds, without a second copy where the file system has links."""
    with replacing(path) as beside:
        try:
            os.link(source, beside)
        except OSError:
            shutil.copyfile(source, beside)


def make_subfolder(path: Path) -> None:
    """Make a folder where it is missing, but none above it: that of a run which was removed stays removed.

    Raises:
        FolderLost: as `replacing` does.
    """
    check_held(path)
    path.mkdir(exist_ok=True)


def unfinished_of(path: Path) -> list[Path]:
    """What killed processes left half-written in place of `path`."""
    return list(path.parent.glob(f".{path.name}.*{UNFINISHED}"))


def sweep(folder: Path, *inner: str) -> None:
    """Remove what a killed process left half-written in a folder and in some that are in it."""
    folders = [folder, *(folder / name for name in inner if not (folder / name).is_symlink())]
    for left in [path for each in folders for path in each.glob(f".*{UNFINISHED}")]:
        if left.is_dir() and not left.is_symlink():
            shutil.rmtree(left)
        else:
            left.unlink(missing_ok=True)


def discard_empty(*folders: Path) -> None:
    """Remove the folders, in order, as far as they are empty; some may be missing."""
    with contextlib.suppress(OSError):
        for folder in folders:
            with contextlib.suppress(FileNotFoundError):
                folder.rmdir()


@contextmanager
def _writing_beside(path: Path) -> Iterator[Path]:
    """A path to write to that is gone afterwards; errors name `path`, where they name it or nothing."""
    beside = _beside(path)
    try:
        yield beside
    except OSError as error:
        if error.errno is not None and error.filename in (None, str(beside)):
            error.filename = str(path)
        raise
    finally:
        with contextlib.suppress(OSError):  # a disk that became read-only has a better error to tell
            beside.unlink(missing_ok=True)


def _beside(path: Path) -> Path:
    # random, so that in a stranger's folder no link can lie there already
    return path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(8)}{UNFINISHED}")
