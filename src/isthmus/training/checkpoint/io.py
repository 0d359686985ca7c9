"""Writes checkpoints atomically, and reads them without running code.

Written to a file beside the target, then renamed. Read with `weights_only=True`: only tensors and plain
values (https://docs.pytorch.org/docs/stable/notes/serialization.html).
"""

from __future__ import annotations

import os
import re
import warnings
from collections import OrderedDict
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import pytorch_lightning
import torch
from lightning_fabric.plugins import TorchCheckpointIO
from torch import Tensor

from isthmus.common.atomic_files import make_subfolder, remove, replacing, same_content
from isthmus.common.messages import first_line
from isthmus.training.checkpoint.archive import check_archive
from isthmus.training.writers.background import Background

PLAIN = (str, int, float, bool, bytes, type(None))
ALSO = "also"  # storage option: another path for the same checkpoint


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes checkpoints atomically. Lightning's own puts its temporary file elsewhere, from where a rename
    may not be atomic.

    Args:
        background: writes the files; a newer checkpoint replaces a pending one. The storage option `ALSO`, a
            path, gets the same checkpoint.
        before: called first, in the writer thread: writes the logs that the checkpoint records.
        opened: content of files that were read already, by path; each is handed over once.
    """

    def __init__(
        self,
        background: Background,
        before: Callable[[], None],
        opened: Mapping[Path, dict[str, Any]] | None = None,
    ) -> None:
        self.background = background
        self.before = before
        self._opened = dict(opened or {})

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None
    ) -> None:
        place = Path(path)
        also: list[Path] = [storage_options[ALSO]] if storage_options else []
        copies: dict[object, Tensor] = {}
        for name, state in checkpoint.get("callbacks", {}).items():
            _check_plain(state, f"the state of callback {name}")
        held = _copied(checkpoint, copies)  # training keeps changing the original tensors

        def write() -> None:
            self.before()
            make_subfolder(place.parent)
            with replacing(place) as beside, beside.open("wb") as file:
                torch.save(held, file)
                file.flush()
                os.fsync(file.fileno())
            for other in also:
                same_content(place, other)

        size = sum(tensor.nbytes for tensor in copies.values())
        self.background.replace(place.name, write, over=[other.name for other in also], size=size)

    def remove_checkpoint(self, path: str | Path) -> None:
        """Remove a checkpoint once it and those before it are written."""
        self.background.add(partial(remove, Path(path)))

    def load_checkpoint(
        self, path: str | Path, map_location: Callable | None = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """See `read_checkpoint`; always only tensors and plain values, on the CPU.

        The current version makes Lightning skip its migration of older checkpoints, which a run does not
        need: `training.progress` has the position to resume from.
        """
        content = self._opened.pop(Path(path), None) or read_checkpoint(Path(path))
        return {**content, "pytorch-lightning_version": pytorch_lightning.__version__}


def _check_plain(value: Any, where: str) -> None:
    """Raise `TypeError` for what could be written and then not be read again, such as a NumPy number."""
    if isinstance(value, dict):
        for key, each in value.items():
            _check_plain(key, where)
            _check_plain(each, f"{where}[{key!r}]")
    elif isinstance(value, list | tuple):
        for index, each in enumerate(value):
            _check_plain(each, f"{where}[{index}]")
    elif type(value) not in PLAIN and not isinstance(value, Tensor):
        kind = f"{type(value).__module__}.{type(value).__qualname__}"
        raise TypeError(
            f"{where} is a {kind}, which a checkpoint cannot hold; "
            "use numbers, text, lists, dicts and tensors"
        )


def _copied(content: Any, copies: dict[object, Tensor]) -> Any:
    """Plain values as they are, and tensors copied to the CPU; `copies` keeps tied tensors tied."""
    if isinstance(content, Tensor):
        place = (content.data_ptr(), content.dtype, content.device, content.shape, content.stride())
        if not content.numel() or place not in copies:
            copies[place] = content.detach().to("cpu", copy=True)
        return copies[place]
    if isinstance(content, dict):
        # reading refuses other dict types, such as the Counter of a scheduler's milestones
        kind = OrderedDict if isinstance(content, OrderedDict) else dict
        copied = kind((key, _copied(value, copies)) for key, value in content.items())
        if isinstance(content, OrderedDict):
            vars(copied).update(vars(content))  # a state_dict has module versions there
        return copied
    if isinstance(content, list | tuple) and not isinstance(content, torch.Size):
        return (list if isinstance(content, list) else tuple)(_copied(value, copies) for value in content)
    return content


def read_checkpoint(path: Path) -> dict[str, Any]:
    """The content of a checkpoint, on the CPU.

    Raises:
        ValueError: the file is damaged (a checksum of its archive is wrong), is no PyTorch zip archive or a
            compressed one (which can unpack to any size), or contains other things than a dict of tensors and
            plain values.
        OSError: it does not exist or may not be read.
    """
    check_archive(path)
    try:
        with warnings.catch_warnings(action="ignore"):  # such as about the pickle protocol
            content = torch.load(path, weights_only=True, map_location="cpu")
    except UnpicklingError as error:
        named = re.search(r"GLOBAL (\S+)", str(error))
        what = f"names {named.group(1)[:100]}" if named else "holds more than tensors and plain values"
        raise ValueError(f"{path.name} {what}, which could run anyone's code; it is not read") from error
    except (RuntimeError, ValueError, EOFError, LookupError, TypeError, AttributeError) as error:
        raise ValueError(f"{path.name} is damaged ({first_line(error)})") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path.name} holds a {type(content).__name__} and no checkpoint")
    _check_tensors(path, content)
    return content


def _keep_versions(state: OrderedDict[Any, Any]) -> None:
    """Keep only the module versions of a state_dict's attributes; others change what is loaded."""
    attributes = vars(state)
    found = attributes.get("_metadata")
    attributes.clear()
    if isinstance(found, dict):
        versions = {
            name: {"version": about["version"]}
            for name, about in dict.items(found)
            if isinstance(about, dict) and isinstance(about.get("version"), int)
        }
        attributes["_metadata"] = versions


def _check_tensors(path: Path, content: dict[str, Any]) -> None:
    """Refuse tensors whose data are not in the file: an expanded tensor could have any size, and PyTorch
    enlarges some storages with uninitialized memory. Drops state_dict attributes except versions.
    """
    waiting: list[Any] = [content]
    seen = set()
    while waiting:
        each = waiting.pop()
        if isinstance(each, Tensor):
            dense = torch.empty_like(each, device="meta").stride() == each.stride()
            if not dense or each.is_neg() or each.is_conj():
                raise ValueError(f"{path.name} holds a tensor that is a view of another; it is not read")
            if each.untyped_storage().resizable():  # data from a file are not; this is uninitialized memory
                raise ValueError(f"{path.name} holds a tensor without numbers in the file; it is not read")
            continue
        if isinstance(each, OrderedDict):
            _keep_versions(each)
        if isinstance(each, dict | list | tuple) and id(each) not in seen:
            seen.add(id(each))
            waiting += each.values() if isinstance(each, dict) else each
