"""The archive of a checkpoint, checked before PyTorch reads it. Imports no torch.

PyTorch's format is an uncompressed zip archive of a pickle and the data of each tensor. PyTorch does not
verify its checksums, and `weights_only` allows more names than a checkpoint needs.
"""

from __future__ import annotations

import re
from pathlib import Path
from pickle import UnpicklingError
from pickletools import genops
from zipfile import ZIP_STORED, BadZipFile, ZipFile, ZipInfo
from zlib import crc32

from isthmus.common.messages import first_line
from isthmus.training.checkpoint.pickle_values import PickleValues

CHUNK = 1 << 20  # bytes
MOST_PICKLE = 16 << 20  # bytes; a tensor takes some 200 besides its data
# The names that the pickle of tensors, parameters and plain values contains.
NEEDED = re.compile(
    r"collections\.OrderedDict|torch\._utils\._rebuild_(tensor_v2|parameter)|torch\.Size|torch\.device"
    r"|torch\.(?!Untyped|Typed)[A-Za-z0-9]+Storage"
)


def check_archive(path: Path) -> None:
    """Raise `ValueError` for a file that is damaged, is no PyTorch checkpoint, could unpack to any size, or
    contains other names than tensors and plain values need.
    """
    if path.exists() and not path.is_file():  # opening a pipe would block
        raise ValueError(f"{path.name} is not a file")
    try:
        archive = ZipFile(path)
    except (BadZipFile, NotImplementedError, ValueError) as error:
        raise ValueError(
            f"{path.name} is damaged, or not in PyTorch's zip format ({first_line(error)})"
        ) from error
    with archive:
        members = archive.infolist()
        pickles = [member for member in members if member.filename.lower().endswith("data.pkl")]
        code = any(member.filename.endswith("constants.pkl") for member in members)  # TorchScript's
        if not pickles or code or not _begins_as_archive(path):
            raise ValueError(f"{path.name} is a zip archive, but no checkpoint of PyTorch")
        stored = all(member.compress_type == ZIP_STORED for member in members)
        if not stored or sum(member.file_size for member in members) > path.stat().st_size:
            raise ValueError(f"{path.name} is compressed, which a checkpoint never is; it is not read")
        for member in members:
            _check_sum(path, archive, member)
        for member in pickles:  # PyTorch reads any of them, in upper case too
            _check_pickle(path, archive, member)


def _begins_as_archive(path: Path) -> bool:
    """Without these bytes PyTorch reads a file in its legacy format, even if an archive follows."""
    with path.open("rb") as file:
        return file.read(4) == b"PK\3\4"


def _check_sum(path: Path, archive: ZipFile, member: ZipInfo) -> None:
    """Verify the CRC-32 of a member; PyTorch does not."""
    try:
        with archive.open(member) as file:
            while file.read(CHUNK):
                pass
    except (ValueError, BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise ValueError(f"{path.name} is damaged ({first_line(error)})") from error


def _check_pickle(path: Path, archive: ZipFile, member: ZipInfo) -> None:
    """Refuse names that no checkpoint needs (some that PyTorch allows make objects of any size), and values
    nested without limit.
    """
    if member.file_size > MOST_PICKLE:
        raise ValueError(
            f"{path.name} holds more than {MOST_PICKLE >> 20} MB besides tensors; it is not read"
        )
    named = []
    values = PickleValues()
    try:
        for operation, argument, _ in genops(archive.read(member)):
            if operation.name in ("GLOBAL", "INST", "STACK_GLOBAL"):
                named.append(str(argument).replace(" ", "."))
            values.follow(operation, argument)
        values.check()
    except (ValueError, LookupError, UnpicklingError) as error:
        raise ValueError(f"{path.name} is damaged ({first_line(error)})") from error
    for name in named:
        if not NEEDED.fullmatch(name):
            raise ValueError(f"{path.name} names {name[:100]}, which could run anyone's code; it is not read")


def checksum(checkpoint: Path) -> int | None:
    """One number for the tensors of a checkpoint, from the checksums in its archive; None if it is none.

    The rest of a checkpoint has paths in it, which differ between equal runs.
    """
    try:
        with ZipFile(checkpoint) as archive:
            sums = [member.CRC for member in archive.infolist() if "/data/" in member.filename]
    except (OSError, BadZipFile, NotImplementedError, ValueError):
        return None
    return crc32(repr(sums).encode())
