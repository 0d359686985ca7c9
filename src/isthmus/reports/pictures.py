"""PNG files of a run folder as parts of a page: only whole ones of bounded size.

PNG: https://www.w3.org/TR/png-3/. A file is a signature and chunks, each with its length and its checksum.
"""

from __future__ import annotations

import base64
import struct
import zlib
from pathlib import Path

from isthmus.reports.page import Picture
from isthmus.runs.folder.untrusted import within

SIGNATURE = b"\x89PNG\r\n\x1a\n"
MOST_BYTES = 4 << 20
MOST_PIXELS = 40_000_000
LONGEST = 20_000  # pixels of a side
WIDE, HIGH = 760, 2_000  # pixels, to which small pictures are enlarged at most


def picture(folder: Path, name: str, caption: str, *, images: bool = False) -> Picture | None:
    """A picture of a run folder; None if it is missing, a link out of the folder, too large, or no whole PNG.

    Args:
        folder: of the run.
        name: of the file, relative to it.
        caption: what it shows.
        images: whether it consists of small images, which are enlarged.
    """
    path = within(folder, name)
    if path is None:
        return None
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError:  # a running training removes files
        return None
    size = _size(content)
    if size is None:
        return None
    times = max(1, min(WIDE // size[0], HIGH // size[1])) if images else 1
    source = f"data:image/png;base64,{base64.b64encode(content).decode()}"
    return Picture(Path(name).name, source, times * size[0], times * size[1], caption, enlarged=times > 1)


def _size(content: bytes) -> tuple[int, int] | None:
    """Width and height of a PNG in pixels; None if it is not whole, or too large."""
    if len(content) > MOST_BYTES or not content.startswith(SIGNATURE):
        return None
    at, size = len(SIGNATURE), None
    while at + 12 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, at)
        end = at + 12 + length
        if end > len(content) or zlib.crc32(content[at + 4 : end - 4]) != int.from_bytes(
            content[end - 4 : end]
        ):
            return None
        if size is None:
            if kind != b"IHDR" or length != 13:
                return None
            width, height = struct.unpack_from(">II", content, at + 8)
            if not 0 < width * height <= MOST_PIXELS or max(width, height) > LONGEST:
                return None
            size = width, height
        if kind == b"IEND":
            return size if end == len(content) else None
        at = end
    return None
