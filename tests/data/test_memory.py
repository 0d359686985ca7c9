"""What is held in memory."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from isthmus.core.errors import BadInput
from isthmus.data import memory
from isthmus.data.memory import take_rows


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


@pytest.mark.parametrize("rows", [[3, 4, 5], [5, 4, 3], [3, 5, 4], [3, 4, 4], [2, 2, 4], [7], []], ids=str)
def test_take_rows(rows):
    values = torch.arange(20).view(10, 2)
    rows = torch.tensor(rows, dtype=torch.int64)
    assert torch.equal(take_rows(values, rows), values[rows])
