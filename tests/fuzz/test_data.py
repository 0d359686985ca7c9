"""Mutated files against every reader of data: a source that works, or one line, in bounded time and memory.

The cases of a reader run in a process of their own. `FUZZ_CASES` says how many there are.
"""

from __future__ import annotations

import gzip
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import strategies as st

from .files import (
    as_npy,
    bmp,
    checksums,
    csv,
    feather,
    idx,
    jpeg,
    labels,
    messy,
    npy,
    npz,
    parquet,
    png,
    tiff,
    webp,
    workbook,
    xlsx,
    zipped,
)
from .harness import bounded, cases, explore, run_alone
from .mutate import mutations

CASES = cases(50)
FREE = 1 << 30  # bytes of memory that the readers believe in
PIXELS = 4_000_000  # of a picture: a limit that needs less memory than the usual one


class Target(NamedTuple):
    """Valid files of one format, and what reads them.

    Attributes:
        files: contents to mutate.
        name: that the mutated content is written to.
        read: opens the file in a folder; see `sources`.
        pack: applied to what was mutated: checksums and compression that would hide it.
    """

    files: list[bytes]
    name: str
    read: str
    pack: Callable[[bytes], bytes] = bytes


TARGETS: dict[str, Callable[[], Target]] = {
    "csv": lambda: Target(csv(), "x.csv", "table"),
    "messy csv": lambda: Target(messy(), "x.csv", "messy"),
    "messy csv in gzip": lambda: Target(messy(), "x.csv.gz", "messy", gzip.compress),
    "gzipped csv": lambda: Target([gzip.compress(content) for content in messy()], "x.csv.gz", "messy"),
    "feather": lambda: Target(feather(), "x.feather", "messy"),
    "sheet of xlsx": lambda: Target(xlsx(), "x.xlsx", "messy", workbook),
    "xlsx": lambda: Target([workbook(content) for content in xlsx()], "x.xlsx", "messy"),
    "parquet": lambda: Target(parquet(), "x.parquet", "table"),
    "messy parquet": lambda: Target(parquet(), "x.parquet", "messy"),
    "npy": lambda: Target(npy(), "x.npy", "arrays"),
    "npz": lambda: Target(npz(), "x.npz", "labelled"),
    "npy in npz": lambda: Target(npy(), "x.npz", "labelled", zipped),
    "labels in npz": lambda: Target(
        [as_npy(np.arange(20)), as_npy(np.array(["pear", "fig"] * 10)), as_npy(np.array([b"a", b"bc"] * 10))],
        "x.npz",
        "labelled",
        labels,
    ),
    "png": lambda: Target(png(), "x.png", "images"),
    "png chunks": lambda: Target(png(), "x.png", "images", checksums),
    "jpeg": lambda: Target(jpeg(), "x.jpg", "images"),
    "tiff": lambda: Target(tiff(), "x.tif", "images"),
    "bmp": lambda: Target(bmp(), "x.bmp", "images"),
    "webp": lambda: Target(webp(), "x.webp", "images"),
    "idx": lambda: Target(idx(), "x", "idx"),
    "idx in gzip": lambda: Target(idx(), "x", "idx", gzip.compress),
    "gzip": lambda: Target([gzip.compress(content) for content in idx()], "x", "idx"),
}


@pytest.mark.fuzz
@pytest.mark.parametrize("target", TARGETS)
def test_mutated_data(target, tmp_path):
    run_alone("test_data", target, tmp_path, count=CASES)


def sources(read: str, file: Path) -> list[Callable[[], object]]:
    """The ways in which a file is opened."""
    from isthmus.common.errors import BadInput
    from isthmus.data.arrays import Arrays
    from isthmus.data.formats.idx import read_idx
    from isthmus.data.images import Images
    from isthmus.data.source import TensorSource
    from isthmus.data.table import Table

    def of_idx() -> TensorSource:
        try:
            values = read_idx(file)
        except ValueError as error:
            raise BadInput("root", str(file), str(error)) from error
        return TensorSource(values, value_range=(0, 1))

    plain = {"path": str(file), "key": None, "labels": None, "scaling": "none"}
    named = {**plain, "key": "x", "labels": "y"}
    match read:
        case "table":
            return [lambda: Table(path=str(file), label="y"), lambda: Table(path=str(file), drop=["y"])]
        case "messy":
            kept = {"path": str(file), "prune": True, "dates": "number"}
            return [
                lambda: Table(**kept, categorical="onehot", missing="indicator", scaling="quantile"),
                lambda: Table(**kept, categorical="ordinal", missing="median", clip=3, in_memory=False),
            ]
        case "arrays":
            return [lambda: Arrays(**plain, in_memory=True), lambda: Arrays(**plain, in_memory=False)]
        case "labelled":
            return [lambda: Arrays(**named, in_memory="auto"), lambda: Arrays(**plain, in_memory=False)]
        case "images":
            return [lambda: Images(path=str(file.parent)), lambda: Images(path=str(file.parent), size=8)]
    return [of_idx]


def check(make: Callable[[], object]) -> None:
    """The source gives finite rows of its shape, or is refused in one line."""
    from isthmus.common.errors import BadInput

    try:
        source = make()
    except BadInput as error:
        line = str(error)
        assert len(line.splitlines()) == 1, line
        assert len(line) < 2000, line
        return
    rows = torch.tensor([0, len(source) - 1]) if len(source) else torch.empty(0, dtype=torch.int64)
    scaling = source.scaling(rows)
    taken = source.take(rows)
    assert taken.shape == (len(rows), *source.shape)
    assert taken.isfinite().all()
    assert scaling(taken).isfinite().all()
    if source.labels is not None:
        assert source.labels.shape == (len(source),)
        assert source.label_names is None or int(source.labels.max()) < len(source.label_names)


def quiet_libtiff() -> None:
    """What the C library says of damaged files goes nowhere; what Python says is still seen."""
    sys.stderr = os.fdopen(os.dup(2), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def fuzz(target: Target, folder: Path) -> None:
    from isthmus.data import memory as room
    from isthmus.data.formats import image_file

    room.available_memory = lambda: FREE
    image_file.MOST_PIXELS = image_file.MOST_DEEP_PIXELS = PIXELS
    if target.name.endswith(".tif"):
        quiet_libtiff()
    (folder / "case").mkdir()
    file = folder / "case" / target.name
    ways = sources(target.read, file)

    def once(content: bytes) -> None:
        file.write_bytes(content)
        for make in ways:
            with bounded():
                check(make)
        assert [(found.name, found.read_bytes()) for found in file.parent.iterdir()] == [
            (target.name, content)
        ]

    for content in target.files:
        once(target.pack(content))
    changed = st.one_of([mutations(content) for content in target.files])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # of EXIF data: the picture is whole, and its owner may want to know
        warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
        explore(changed.map(target.pack), once, count=CASES)


if __name__ == "__main__":
    fuzz(TARGETS[sys.argv[1]](), Path(sys.argv[2]))
