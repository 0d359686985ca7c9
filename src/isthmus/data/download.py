"""Download a file once, verify its checksum and rename it into place; a lock serializes processes."""

from __future__ import annotations

import hashlib
from http.client import HTTPException
from pathlib import Path
from urllib.request import urlopen

from filelock import FileLock

from isthmus.common.atomic_files import replacing, unfinished_of

TIMEOUT = 30  # timeout of each read, in seconds
BLOCK = 1 << 20  # bytes of a read
MOST = 1 << 30  # largest file, in bytes


class DownloadFailed(OSError):
    """A download failed; the message is one line."""


def fetch(url: str, to: Path, *, sha256: str) -> None:
    """Download `url` to `to`, unless that file exists.

    Of several processes, on one machine or with a shared disk, one downloads and the others wait for it. A
    kill leaves either no file at `to` or the complete one.

    Args:
        url: http, https or file.
        to: path of the file; its folder is created.
        sha256: of the file, in hexadecimal.

    Raises:
        DownloadFailed: the server cannot be reached, the folder is not writable, the file is larger than
            `MOST` or has another checksum. The download is then deleted.
    """
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(to.with_name(f".{to.name}.lock")):
            if to.exists():
                return
            for left in unfinished_of(to):
                left.unlink(missing_ok=True)
            with replacing(to) as partial:
                found = _copy(url, partial)
                if found != sha256:
                    raise DownloadFailed(f"{url} has SHA-256 {found} instead of {sha256}")
    except DownloadFailed:
        raise
    except (OSError, HTTPException) as error:
        raise DownloadFailed(f"{url} cannot be fetched into {to.parent}: {error}") from error


def _copy(url: str, to: Path) -> str:
    """Download `url` to `to`; returns the SHA-256."""
    digest = hashlib.sha256()
    # "x" follows no link that somebody else placed there
    with urlopen(url, timeout=TIMEOUT) as response, to.open("xb") as file:
        while block := response.read(BLOCK):
            digest.update(block)
            file.write(block)
            if file.tell() > MOST:
                raise DownloadFailed(f"{url} is longer than {MOST >> 30} GB")
    return digest.hexdigest()
