"""Atomic file writes: to a temporary file in the same folder, which is then renamed into place."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from isthmus.common.held_folder import check_held, held_place

UNFINISHED = ".part"  # suffix of temporary files
# a file system without hard links
NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder; on success it is renamed to `path`.

    A kill leaves the old file or the new one, and possibly the temporary file, which `sweep` removes.

    Raises:
        FolderLost: `path` is in a held folder that was lost (see `common.held_folder`).
    """
    check_held(path)
    with _temporary(path) as temporary:
        yield temporary
        check_held(path)
        (source, at), (target, _) = held_place(temporary), held_place(path)
        os.replace(source, target, src_dir_fd=at, dst_dir_fd=at)


def remove(path: Path) -> None:
    """Remove a file if it exists. In a held folder that was replaced, the file of the same name stays."""
    name, at = held_place(path)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name, dir_fd=at)


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` atomically."""
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def create_text(path: Path, text: str) -> None:
    """Write `text` atomically to a file that must not exist yet.

    Raises:
        FileExistsError: it exists; of several concurrent calls, one succeeds.
    """
    with _temporary(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
        try:
            os.link(temporary, path)
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
            with path.open("x", encoding="utf-8"):
                temporary.replace(path)


def same_content(source: Path, path: Path) -> None:
    """Make `path` a hard link to `source`, or a copy where links are not supported."""
    with replacing(path) as temporary:
        try:
            os.link(source, temporary)
        except OSError:
            shutil.copyfile(source, temporary)


def make_subfolder(path: Path) -> None:
    """Make a folder if it is missing, but not its parents: a removed run folder is not made again.

    Raises:
        FolderLost: see `replacing`.
    """
    check_held(path)
    path.mkdir(exist_ok=True)


def unfinished_of(path: Path) -> list[Path]:
    """Temporary files of `path` that killed processes left."""
    return list(path.parent.glob(f".{path.name}.*{UNFINISHED}"))


def sweep(folder: Path, *inner: str) -> None:
    """Remove temporary files that killed processes left in a folder and in its `inner` subfolders."""
    folders = [folder, *(folder / name for name in inner if not (folder / name).is_symlink())]
    for left in [path for each in folders for path in each.glob(f".*{UNFINISHED}")]:
        if left.is_dir() and not left.is_symlink():
            remove_tree(left)
        else:
            left.unlink(missing_ok=True)


def remove_tree(folder: Path) -> None:
    """Remove a folder and its content. An error names the folder; `shutil.rmtree` gives bare entry names."""
    try:
        shutil.rmtree(folder)
    except OSError as error:
        error.filename = str(folder)
        raise


def discard_empty(*folders: Path) -> None:
    """Remove the folders in order, up to the first that is not empty; missing ones are skipped."""
    with contextlib.suppress(OSError):
        for folder in folders:
            with contextlib.suppress(FileNotFoundError):
                folder.rmdir()


@contextmanager
def _temporary(path: Path) -> Iterator[Path]:
    """Yield a temporary path, removed afterwards. Errors that name it, or no file, name `path` instead."""
    temporary = _temporary_path(path)
    try:
        yield temporary
    except OSError as error:
        named = None if error.filename is None else Path(os.fsdecode(error.filename))
        if error.errno is not None and named in (None, temporary, held_place(temporary)[0]):
            error.filename = str(path)
        raise
    finally:
        with contextlib.suppress(OSError):  # if the disk is read-only now, the first error is reported
            remove(temporary)


def _temporary_path(path: Path) -> Path:
    # random, so that nobody can place a link there beforehand
    return path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(8)}{UNFINISHED}")
