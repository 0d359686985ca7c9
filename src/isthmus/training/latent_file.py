"""A checksum in the safetensors files of latents, whose format has none. Imports no torch.

A file begins with the length of its header, 8 bytes, little-endian; the header is JSON and gives dtype, shape
and place of each tensor (https://huggingface.co/docs/safetensors).
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

KEY = "isthmus"  # of the one entry in the metadata: several come in any order, and equal runs would differ
OLDER = {"step", "label_names"}  # what the metadata say in files without a checksum


def metadata(about: Mapping[str, Any], content: bytes) -> dict[str, str]:
    """The metadata of a file, with a CRC-32 of all that is in it.

    Args:
        about: what else the metadata say, in plain types.
        content: the file as it would be without metadata.
    """
    header, data = _parts(content)
    return {KEY: json.dumps({**about, "crc32": _sum(header, about, data)})}


def check_latents(path: Path) -> None:
    """Raise `ValueError` where a file is damaged. One that was written without a checksum is not judged."""
    try:
        header, data = _parts(path.read_bytes())
        about = json.loads(header.pop("__metadata__")[KEY])
        recorded = about.pop("crc32", None)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{path.name} is damaged (its header cannot be read)") from error
    unjudged = recorded is None and about.keys() == OLDER
    if not unjudged and recorded != _sum(header, about, data):
        raise ValueError(f"{path.name} is damaged (its checksum is wrong)")


def _parts(content: bytes) -> tuple[dict[str, Any], memoryview]:
    """The header of a file, and its numbers."""
    begin = 8 + int.from_bytes(content[:8], "little")
    return json.loads(content[8:begin]), memoryview(content)[begin:]


def _sum(header: Mapping[str, Any], about: Mapping[str, Any], data: memoryview) -> int:
    return zlib.crc32(data, zlib.crc32(json.dumps([header, about], sort_keys=True).encode()))
