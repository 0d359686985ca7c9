"""Whether every file of a run is whole."""

from __future__ import annotations

import csv
import json
import struct
from collections.abc import Iterator
from pathlib import Path

import torch
import yaml
from PIL import Image
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.summary.writer.record_writer import masked_crc32c

from isthmus.common.atomic_files import UNFINISHED
from isthmus.runs.packed.model_file import ModelFile


def check_whole(run: Path, *, interrupted: bool) -> None:
    """Assert that each file of a run is whole.

    Args:
        run: the folder.
        interrupted: whether a process was killed in the middle of writing. Then there may be hidden files
            that were being written, and the last record of its event files may be torn.
    """
    torn = killed_writer(run) if interrupted else None
    for path in sorted(run.rglob("*")):
        if is_unfinished(path):
            assert interrupted, f"{path} was left"
        elif path.is_file() and path.name != ".lock":
            check_file(path, may_be_torn=event_writer(path) == torn)


def is_unfinished(path: Path) -> bool:
    """Whether it is, or is in, a hidden file that is being written."""
    return any(part.startswith(".") and part.endswith(UNFINISHED) for part in path.parts)


def check_file(path: Path, *, may_be_torn: bool = False) -> None:
    """Assert that a file can be read to its end."""
    match path.suffix:
        case ".ckpt":
            assert torch.load(path, weights_only=True)["state_dict"]
        case ".safetensors":
            assert len(load_file(path)["ids"])
        case ".isthmus":
            assert ModelFile.read(path).named("detector.")
        case ".png":
            with Image.open(path) as image:
                image.load()
        case ".json":
            assert isinstance(json.loads(path.read_text()), dict)
        case ".yaml":
            yaml.safe_load(path.read_text())
            assert path.read_text().endswith("\n")
        case ".csv":
            check_table(path)
        case ".html":
            assert path.read_text(encoding="utf-8").endswith("</html>\n")
        case ".tsv" | ".pbtxt":
            assert path.read_bytes().endswith(b"\n")
        case _:
            assert event_writer(path), f"{path} is not a file of a run"
            check_events(path, may_be_torn=may_be_torn)


def check_table(path: Path) -> None:
    assert path.read_bytes().endswith(b"\n"), path
    with path.open(newline="") as file:
        rows = list(csv.reader(file))
    assert {len(row) for row in rows} == {len(rows[0])}, path


def check_events(path: Path, *, may_be_torn: bool) -> None:
    found = list(records(path))
    assert found.count(None) <= may_be_torn, f"{path} has a record that is torn"
    assert len(list(EventFileLoader(str(path)).Load())) == len(found) - found.count(None), path


def records(path: Path) -> Iterator[bytes | None]:
    """The records of an event file: length, its checksum, content, its checksum. A last None: torn."""
    data = path.read_bytes()
    while data:
        length = struct.unpack_from("<Q", data)[0] if len(data) >= 12 else 0
        content, rest = data[12 : 12 + length], data[12 + length :]
        sums = struct.pack("<I", masked_crc32c(data[:8])), struct.pack("<I", masked_crc32c(content))
        if len(data) < 16 or (data[8:12], rest[:4]) != sums:
            yield None
            return
        yield content
        data = rest[4:]


def event_writer(path: Path) -> str | None:
    """The second and the process that an event file was begun in, or None for other files."""
    _, found, name = path.name.partition("events.out.tfevents.")
    return name.rpartition(".")[0] if found else None


def killed_writer(run: Path) -> str | None:
    """The process that wrote events last."""
    files = sorted(run.glob("events.out.tfevents.*"), key=lambda path: int(path.name.split(".")[3]))
    return event_writer(files[-1]) if files else None


def check_checkpoints(run: Path) -> None:
    """Assert that the checkpoints that there are load and tell where training was."""
    for path in (run / "checkpoints").glob("*.ckpt"):
        assert torch.load(path, weights_only=True)["position"]["step"] > 0, path
