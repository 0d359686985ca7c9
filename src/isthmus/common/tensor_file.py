"""Safetensors files with a checksum, which the format lacks. Imports no torch.

A file begins with the length of its header, 8 bytes, little-endian; the header is JSON and gives dtype, shape
and offset of each tensor (https://huggingface.co/docs/safetensors).
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from isthmus.common.atomic_files import make_subfolder, replacing
from isthmus.common.messages import first_line

if TYPE_CHECKING:
    from torch import Tensor

KEY = "isthmus"  # the only metadata entry: several have no fixed order, so equal runs would differ
LONGEST = 64 << 20  # bytes of a header
CHUNK = 1 << 20  # bytes
OLDER = {"step", "label_names"}  # metadata of older latents, which have no checksum


def write_tensors(path: Path, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
    """Write a file atomically.

    Args:
        path: of the file, in a folder that is made where it is missing.
        tensors: by name, on the CPU.
        about: what the metadata contain besides the checksum, in plain types.
    """
    from safetensors.torch import save

    dense = {name: tensor.contiguous() for name, tensor in tensors.items()}
    make_subfolder(path.parent)
    with replacing(path) as beside:
        beside.write_bytes(save(dense, _metadata(about, save(dense))))


def _metadata(about: Mapping[str, Any], content: bytes) -> dict[str, str]:
    """The metadata of a file, with a CRC-32 of its content, which is the file as it would be without them."""
    file = BytesIO(content)
    before = _sum(json.loads(_header(file)), about)
    crc32 = zlib.crc32(memoryview(content)[file.tell() :], before)
    return {KEY: json.dumps({**about, "crc32": crc32})}


def check_tensors(path: Path) -> None:
    """Raise `ValueError` where a file is damaged. Latents that were written without a checksum pass."""
    if path.exists() and not path.is_file():  # opening a pipe would block
        raise ValueError(f"{path.name} is not a file")
    with path.open("rb") as file:
        _checked(file, path.name)


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors of a file, on the CPU, and what its metadata contain besides the checksum.

    Raises:
        ValueError: the file is damaged, or contains more or less than `write_tensors` writes.
        OSError: it does not exist or may not be read.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    content = path.read_bytes()
    about = _checked(BytesIO(content), path.name)
    if about is None:
        raise ValueError(f"{path.name} has no checksum")
    try:
        return load(content), about
    except (SafetensorError, ValueError, KeyError) as error:
        raise ValueError(f"{path.name} is damaged ({first_line(error)})") from error


def _checked(file: BinaryIO, name: str) -> dict[str, Any] | None:
    """What the metadata contain besides the checksum, which is verified; None for older latents without one.

    Raises:
        ValueError: the file is damaged.
    """
    try:
        header = json.loads(_header(file))
        metadata = header.pop("__metadata__")
        if metadata.keys() == OLDER:
            return None
        about: dict[str, Any] = json.loads(metadata[KEY])
        recorded = about.pop("crc32", None)
        found = _sum(header, about)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{name} is damaged (its header cannot be read)") from error
    if recorded is None and about.keys() == OLDER:
        return None
    while chunk := file.read(CHUNK):
        found = zlib.crc32(chunk, found)
    if recorded != found:
        raise ValueError(f"{name} is damaged (its checksum is wrong)")
    return about


def _header(file: BinaryIO) -> bytes:
    """Read the header; the file position is then at the tensor data."""
    length = int.from_bytes(file.read(8), "little")
    if length > LONGEST:
        raise ValueError("the header is too long")
    return file.read(length)


def _sum(header: Mapping[str, Any], about: Mapping[str, Any]) -> int:
    """The CRC-32 of what precedes the tensor data."""
    return zlib.crc32(json.dumps([header, about], sort_keys=True).encode())
