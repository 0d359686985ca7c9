"""Changes to the binary files of a run folder: checkpoints, latents and event files."""

from __future__ import annotations

import io
import json
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import torch
from hypothesis import strategies as st

from .change import Change, of
from .documents import NUMBERS, TEXTS, documents, edited, plain
from .mutate import mutations

CHECKPOINTS = ("checkpoints/best.ckpt", "checkpoints/last.ckpt")


def checkpoint_bytes(run: Path) -> st.SearchStrategy[Change]:
    content = (run / CHECKPOINTS[0]).read_bytes()
    names = st.sampled_from([CHECKPOINTS, CHECKPOINTS[:1], CHECKPOINTS[1:]])
    return st.tuples(names, mutations(content)).map(lambda drawn: Change(dict.fromkeys(drawn[0], drawn[1])))


def checkpoint_members(run: Path) -> st.SearchStrategy[Change]:
    """One member mutated, and its checksum that of what is in it."""
    with zipfile.ZipFile(run / CHECKPOINTS[0]) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    pickle = next(name for name in members if name.endswith("data.pkl"))
    mark = members[pickle].index(b"}")
    deep = [b"\x80\x02" + b"]" * n + b"a" * (n - 1) + b"." for n in (100, 1_000, 100_000)]
    long = [b"\x80\x02c" + b"a\x1b" * n + b"\nb\n." for n in (10, 10_000)]
    memo = [
        members[pickle][:mark] + extra + members[pickle][mark:] for extra in (b"0", b"N", b"(", b"\x8ci\xff")
    ]
    content = st.sampled_from([pickle, pickle, *members]).flatmap(
        lambda name: st.tuples(st.just(name), mutations(members[name]))
    )
    whole = st.tuples(st.just(pickle), st.sampled_from([*deep, *long, *memo]))
    renamed = st.tuples(
        st.sampled_from(list(members)), st.sampled_from(["", "x" * 60_000, "\x1b[31m", "../x"])
    )
    packed = (content | content | whole).map(
        lambda drawn: pack({**members, drawn[0]: drawn[1]})
    ) | renamed.map(
        lambda drawn: pack({drawn[1] if name == drawn[0] else name: inner for name, inner in members.items()})
    )
    return packed.map(lambda content: Change(dict.fromkeys(CHECKPOINTS, content)))


def pack(members: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return file.getvalue()


def checkpoint_values(run: Path) -> st.SearchStrategy[Change]:
    """Values, names and tensors replaced in a checkpoint that is whole."""
    content = dictionaries(torch.load(run / CHECKPOINTS[0], weights_only=True))
    tensors = [
        torch.zeros(()),
        torch.zeros(0),
        torch.full((8,), torch.nan),
        torch.full((8, 64), 1e38),
        torch.zeros(8, 64, dtype=torch.float64),
        torch.ones(8, dtype=torch.int64),
        torch.zeros(2, 2).bool(),
        torch.zeros(8, 64, dtype=torch.complex64),
        torch.zeros(1).expand(2**40),
        torch.zeros(8, 64).T,
        torch.zeros(8, 64, dtype=torch.bfloat16),
        torch.zeros(8, 64).to_sparse(),
        torch.zeros(3, dtype=torch.uint8),
    ]
    nested: list[Any] = []
    for _ in range(300):
        nested = [nested]
    hostile = st.sampled_from([*TEXTS, *NUMBERS, None, True, [], {}, (), nested, *tensors]) | plain
    keys = st.sampled_from([*TEXTS, 0, -1, 2**63, 0.5, None, (), "Checkpoints", "MixedPrecision"])
    return edited(content, hostile, keys).map(saved)


def dictionaries(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: dictionaries(inner) for key, inner in value.items()}
    return [dictionaries(inner) for inner in value] if isinstance(value, list) else value


def saved(content: Any) -> Change:
    file = io.BytesIO()
    torch.save(content, file)
    return Change(dict.fromkeys(CHECKPOINTS, file.getvalue()))


def latents(run: Path) -> st.SearchStrategy[Change]:
    """Bytes, and a header with the right length and checksum."""
    path = min((run / "latents").iterdir())
    content = path.read_bytes()
    begin = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:begin])
    about = json.loads(header["__metadata__"]["isthmus"])

    def with_header(changed: bytes) -> bytes:
        return struct.pack("<Q", len(changed)) + changed + content[begin:]

    def with_metadata(changed: bytes) -> bytes:
        text = changed.decode("utf-8", "replace")
        return with_header(json.dumps({**header, "__metadata__": {"isthmus": text}}).encode())

    def summed(changed: bytes) -> bytes:
        try:
            inner = json.loads(changed)
            rest = {key: value for key, value in inner.items() if key != "__metadata__"}
            known = {key: value for key, value in about.items() if key != "crc32"}
            text = json.dumps([rest, known], sort_keys=True).encode()
        except (ValueError, AttributeError, RecursionError):
            return with_header(changed)
        right = {**known, "crc32": zlib.crc32(content[begin:], zlib.crc32(text))}
        return with_header(json.dumps({**rest, "__metadata__": {"isthmus": json.dumps(right)}}).encode())

    contents = st.one_of(
        mutations(content),
        documents(header).map(with_header),
        documents(header).map(summed),
        documents(about).map(with_metadata),
    )
    return of(path.relative_to(run).as_posix(), contents)


def events(run: Path) -> st.SearchStrategy[Change]:
    path = min(run.glob("events.*"))
    endings = ("0", "9" * 10 + ".x", "99999999999.x", "\x1b[31m", "\n", "\udcff", "x" * 200, "-1.", "1e9.x")
    names = st.sampled_from([path.name, *(f"events.out.tfevents.{ending}" for ending in endings)])
    contents = mutations(path.read_bytes()) | st.binary(max_size=50)
    return st.dictionaries(names, contents, min_size=1, max_size=3).map(Change)
