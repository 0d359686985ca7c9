"""How many threads of the CPU a process has."""

from __future__ import annotations

import os

import pytest

from isthmus.common.errors import BadInput
from isthmus.training.devices import threads_of


@pytest.mark.parametrize(("said", "threads"), [("3", 3), ("3,2", 3), ("", None), (" 4 ", 4)])
def test_the_threads_that_openmp_is_told(said, threads, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", said)
    expected = threads or len(os.sched_getaffinity(0))
    assert threads_of(None, processes=1) == expected


@pytest.mark.parametrize("said", ["x", "-1", "0", "2.5"])
def test_threads_that_are_no_number(said, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", said)
    with pytest.raises(BadInput, match=f"OMP_NUM_THREADS={said}: must be a number of threads"):
        threads_of(None, processes=1)
