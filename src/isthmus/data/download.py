"""Fetching a file once: checked, beside its place, renamed into it, one process at a time."""

from __future__ import annotations

import hashlib
from http.client import HTTPException
from pathlib import Path
from urllib.request import urlopen

from filelock import FileLock

SILENCE = 30  # seconds without a byte before a server is given up
BLOCK = 1 << 20  # bytes read at a time
MOST = 1 << 30  # bytes of a file, after which a server that goes on sending is given up


class DownloadFailed(OSError):
    """The file could not be fetched; says why in one line."""


def fetch(url: str, to: Path, *, sha256: str) -> None:
    """Make sure that the file at `url` lies at `to`; does nothing where there is one already.

    Several processes may call this at once, on one machine or on a shared disk: one downloads, the others
    wait for it. A kill leaves either no file at `to` or the whole one.

    Args:
        url: http, https or file.
        to: where the file goes; the folder is made.
        sha256: of the file, in hexadecimal.

    Raises:
        DownloadFailed: the server cannot be reached, the folder cannot be written, or the bytes are not
            those that `sha256` names or more than `MOST` (they are thrown away).
    """
    partial = to.with_name(f".{to.name}.part")
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(to.with_name(f".{to.name}.lock")):
            if to.exists():
                return
            try:
                partial.unlink(missing_ok=True)  # what a kill left behind
                found = _copy(url, partial)
                if found != sha256:
                    raise DownloadFailed(f"{url} has SHA-256 {found} instead of {sha256}")
                partial.replace(to)
            finally:
                partial.unlink(missing_ok=True)
    except DownloadFailed:
        raise
    except (OSError, HTTPException) as error:
        raise DownloadFailed(f"{url} cannot be fetched into {to.parent}: {error}") from error


def _copy(url: str, to: Path) -> str:
    """Write the bytes at `url` to `to`; returns their SHA-256."""
    digest = hashlib.sha256()
    # "x" writes through no link that lies in wait
    with urlopen(url, timeout=SILENCE) as response, to.open("xb") as file:
        while block := response.read(BLOCK):
            digest.update(block)
            file.write(block)
            if file.tell() > MOST:
                raise DownloadFailed(f"{url} is longer than {MOST >> 30} GB")
    return digest.hexdigest()
