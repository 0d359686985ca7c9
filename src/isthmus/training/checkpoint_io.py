"""Checkpoints that are whole or not there, and that run no code when they are read.

Written beside their place, then renamed into it. Read as PyTorch's zip format with `weights_only=True`:
tensors and plain values alone (https://docs.pytorch.org/docs/stable/notes/serialization.html).
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from pickle import UnpicklingError
from pickletools import genops
from typing import Any
from zipfile import ZIP_STORED, BadZipFile, ZipFile, ZipInfo

import torch
from lightning_fabric.plugins import TorchCheckpointIO
from torch import Tensor

from isthmus.core.atomic import replacing
from isthmus.training.background import Background

MOST_PICKLE = 16 << 20  # bytes; a tensor takes some 200 besides its numbers
# What tensors, parameters and plain values are made of.
NEEDED = re.compile(
    r"collections\.OrderedDict|torch\._utils\._rebuild_(tensor_v2|parameter)|torch\.Size|torch\.device"
    r"|torch\.(?!Untyped|Typed)[A-Za-z0-9]+Storage"
)


class AtomicCheckpointIO(TorchCheckpointIO):
    """Lightning's own writes its temporary file elsewhere, from where a rename may not be atomic.

    Args:
        background: writes the files; a checkpoint that is still to be written gives way to a newer one.
        before: called first, there: writes what the checkpoint tells of.
    """

    def __init__(self, background: Background, before: Callable[[], None]) -> None:
        self.background = background
        self.before = before

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None
    ) -> None:
        place = Path(path)
        # training goes on in these tensors
        held = _copied(checkpoint)

        def write() -> None:
            self.before()
            with replacing(place) as beside, beside.open("wb") as file:
                torch.save(held, file)
                file.flush()
                os.fsync(file.fileno())

        self.background.renew(place.name, write)

    def load_checkpoint(
        self, path: str | Path, map_location: Callable | None = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """See `read_checkpoint`; never anything but tensors and plain values, and those on the CPU."""
        return read_checkpoint(Path(path))


def _copied(content: Any) -> Any:
    """Plain values as they are, and tensors copied to the CPU."""
    if isinstance(content, Tensor):
        return content.detach().to("cpu", copy=True)
    if isinstance(content, dict):
        copied = type(content)((key, _copied(value)) for key, value in content.items())
        if hasattr(content, "__dict__"):
            vars(copied).update(vars(content))  # the state of a module has versions there
        return copied
    if isinstance(content, list | tuple):
        return type(content)([_copied(value) for value in content])
    return content


def read_checkpoint(path: Path) -> dict[str, Any]:
    """What a checkpoint holds, on the CPU.

    Raises:
        ValueError: the file is damaged, is no PyTorch zip archive or a compressed one (which can unpack to
            any size), or holds something else than a dict of tensors and plain values.
        OSError: it is not there or may not be read.
    """
    _check_archive(path)
    try:
        content = torch.load(path, weights_only=True, map_location="cpu")
    except UnpicklingError as error:
        named = re.search(r"GLOBAL (\S+)", str(error))
        what = f"names {named.group(1)}" if named else "holds more than tensors and plain values"
        raise ValueError(f"{path.name} {what}, which could run anyone's code; it is not read") from error
    except (RuntimeError, ValueError, EOFError, LookupError, TypeError, AttributeError) as error:
        raise ValueError(f"{path.name} is damaged ({_first_line(error)})") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path.name} holds a {type(content).__name__} and no checkpoint")
    return content


def _check_archive(path: Path) -> None:
    try:
        archive = ZipFile(path)
    except (BadZipFile, NotImplementedError, ValueError) as error:
        raise ValueError(
            f"{path.name} is damaged, or not in PyTorch's zip format ({_first_line(error)})"
        ) from error
    with archive:
        members = archive.infolist()
        names = {member.filename.rpartition("/")[2] for member in members}
        if "data.pkl" not in names or "constants.pkl" in names:  # the second is TorchScript's, which is code
            raise ValueError(f"{path.name} is a zip archive, but no checkpoint of PyTorch")
        stored = all(member.compress_type == ZIP_STORED for member in members)
        if not stored or sum(member.file_size for member in members) > path.stat().st_size:
            raise ValueError(f"{path.name} is compressed, which a checkpoint never is; it is not read")
        for member in members:
            if member.filename.rpartition("/")[2] == "data.pkl":
                _check_pickle(path, archive, member)


def _check_pickle(path: Path, archive: ZipFile, member: ZipInfo) -> None:
    """Refuse names that a checkpoint has no use for; some that PyTorch allows make objects of any size."""
    if member.file_size > MOST_PICKLE:
        raise ValueError(
            f"{path.name} holds more than {MOST_PICKLE >> 20} MB besides tensors; it is not read"
        )
    try:
        named = [
            str(argument).replace(" ", ".")
            for operation, argument, _ in genops(archive.read(member))
            if operation.name in ("GLOBAL", "INST", "STACK_GLOBAL")
        ]
    except (ValueError, UnpicklingError, BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise ValueError(f"{path.name} is damaged ({_first_line(error)})") from error
    for name in named:
        if not NEEDED.fullmatch(name):
            raise ValueError(f"{path.name} names {name}, which could run anyone's code; it is not read")


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:200]
