"""What is held in memory."""

from __future__ import annotations

import io
import math
import resource
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from pyarrow import parquet

from isthmus.common.errors import BadInput
from isthmus.data import memory
from isthmus.data.memory import take_rows, unpack
from isthmus.data.module import DataModule
from isthmus.data.source import TensorSource
from isthmus.data.table import Table


@pytest.mark.parametrize(
    ("in_memory", "fits"), [(True, (True, True)), (False, (False, False)), ("auto", (True, False))]
)
def test_auto_takes_less_than_a_quarter(
    monkeypatch: pytest.MonkeyPatch, in_memory: str | bool, fits: tuple[bool, bool]
) -> None:
    monkeypatch.setattr(memory, "available_memory", lambda: 400)
    assert (memory.fits_in_memory(99, in_memory), memory.fits_in_memory(100, in_memory)) == fits


@pytest.mark.parametrize("in_memory", ["yes", "true", ""])
def test_another_choice_is_refused(in_memory: str) -> None:
    with pytest.raises(BadInput, match=r"in_memory=.*auto, true, false"):
        memory.fits_in_memory(1, in_memory)


@pytest.mark.parametrize("proc", [True, False])
def test_the_machine_says_what_is_free(monkeypatch: pytest.MonkeyPatch, proc: bool) -> None:
    def missing(*_: object, **__: object) -> str:
        raise FileNotFoundError

    if not proc:
        monkeypatch.setattr(Path, "read_text", missing)
    assert 2**20 < memory.available_memory() < 2**60


def test_a_limit_of_the_process_counts() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 10**8, hard))
    try:
        assert 0 < memory.available_memory() <= 10**8
        with pytest.raises(memory.NoRoom, match=r"the data would take 90 MB"):
            memory.check_room(9 * 10**7, "the data")
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


@pytest.mark.parametrize("rows", [[3, 4, 5], [5, 4, 3], [3, 5, 4], [3, 4, 4], [2, 2, 4], [7], []], ids=str)
def test_take_rows(rows):
    values = torch.arange(20).view(10, 2)
    rows = torch.tensor(rows, dtype=torch.int64)
    assert torch.equal(take_rows(values, rows), values[rows])


def _batches(batch_size: int, eval_batch_size: int) -> DataModule:
    """80 examples to train on and 20 to test on, of 40 bytes each."""
    return DataModule(
        TensorSource(torch.zeros(100, 10)),
        batch_size=batch_size,
        eval_batch_size=eval_batch_size,
        val_size=0,
        test_size=20,
        split_seed=0,
        num_workers=0,
        seed=0,
    )


def test_a_batch_of_more_examples_than_there_are_has_them_all() -> None:
    data = _batches(10**15, 10**15)
    (trained,), (judged,) = data.train_dataloader(), data.test_dataloader()
    assert trained.sizes == (80,)
    assert len(judged.rows) == 20


@pytest.mark.parametrize(
    ("sizes", "needed", "key"),
    [((10**15, 1), 80 * 40 * 3, "batch_size"), ((1, 10**15), 20 * 40 * 2, "eval_batch_size")],
)
def test_a_batch_that_would_not_fit_is_refused(
    monkeypatch: pytest.MonkeyPatch, sizes: tuple[int, int], needed: int, key: str
) -> None:
    least = needed * 4 / 3  # three quarters of free memory can be taken
    monkeypatch.setattr(memory, "available_memory", lambda: math.ceil(least))
    _batches(*sizes)
    monkeypatch.setattr(memory, "available_memory", lambda: math.ceil(least) - 1)
    _batches(*(min(size, 19) for size in sizes))
    with pytest.raises(
        BadInput, match=rf"^{key}=1000000000000000: a batch of \d+ examples .*smaller data.{key}$"
    ):
        _batches(*sizes)


def test_reading_a_table_leaves_its_values_alone_in_memory(tmp_path: Path) -> None:
    values = np.random.default_rng(0).random((400_000, 20))
    table = pa.table({str(at): column for at, column in enumerate(values.T)})
    parquet.write_table(table, tmp_path / "x.parquet")
    del table
    pa.default_memory_pool().release_unused()
    before = _resident()
    kept = Table(path=str(tmp_path / "x.parquet"), scaling="none")
    kept.scaling(torch.arange(300_000))
    assert kept.values is not None
    assert kept.values.nbytes == 32_000_000
    assert _resident() - before < 2 * kept.values.nbytes


def _resident() -> int:
    """Bytes of this process in memory."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmRSS:"))


@pytest.mark.parametrize("size", [0, 3, 5, 7])
def test_unpack_takes_what_there_is(size):
    assert unpack(io.BytesIO(b"12345"), size, "x").tobytes() == b"12345"[:size]


def test_a_header_that_lies_takes_no_memory() -> None:
    before = _resident()
    content = unpack(io.BytesIO(b"12345"), 1 << 28, "x")
    assert (len(content), _resident() - before < 1 << 27) == (5, True)
