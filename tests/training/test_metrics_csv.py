"""metrics.csv is whole at any moment, and can be cut back to what it was."""

from __future__ import annotations

import csv
import io
from contextlib import contextmanager

import pytest
import torch

from isthmus.common.csv_rows import read_rows
from isthmus.common.errors import BadInput
from isthmus.training.writers import background as background_module
from isthmus.training.writers import metrics_csv
from isthmus.training.writers.background import Background
from isthmus.training.writers.metrics_csv import MetricsFile, rewind

ROWS = [
    {"train/loss_step": 1.5, "epoch": 1},
    {"val/loss": torch.tensor(0.1), "epoch": 1},
    {"lr": 0.001, "train/loss": float("nan"), "epoch": 1},
    {"train/loss_step": float("inf"), "epoch": 2},
    {"val/loss": 1e-30, "epoch": 2},
    {"a,b": 2, "epoch": 2},
]


def logged(path, rows, *, first=0):
    marks = []
    with Background() as background:
        file = MetricsFile(path, background)
        for number, row in enumerate(rows, first):
            file.log_metrics(row, step=number)
            marks.append(file.mark())
            background.flush()
    return marks


@pytest.fixture
def whole(tmp_path):
    path = tmp_path / "whole.csv"
    assert logged(path, ROWS) == [1, 2, 3, 4, 5, 6]
    return path


def test_rows_and_columns(whole):
    with whole.open(newline="") as file:
        names, *cells = csv.reader(file)
    assert names == sorted({"step"}.union(*ROWS))
    assert [{n: float(c) for n, c in zip(names, row, strict=True) if c} for row in cells] == [
        pytest.approx({**{n: float(v) for n, v in row.items()}, "step": number}, nan_ok=True)
        for number, row in enumerate(ROWS)
    ]


@pytest.mark.parametrize("kept", range(len(ROWS) + 1))
def test_cut_back_and_logged_again(whole, kept, tmp_path):
    """At each length, a file that was cut back is the file of that length, and grows to the same whole."""
    path, short = tmp_path / "metrics.csv", tmp_path / "short.csv"
    path.write_bytes(whole.read_bytes())
    rewind(path, kept)
    if kept:
        logged(short, ROWS[:kept])
        assert path.read_bytes() == short.read_bytes()
    else:
        assert not path.exists()
    logged(path, ROWS[kept:], first=kept)
    assert path.read_bytes() == whole.read_bytes()


def test_fewer_rows_than_a_checkpoint_tells_of(whole):
    with pytest.raises(BadInput, match=r"whole\.csv has 6 rows, but its checkpoint recorded 7"):
        rewind(whole, 7)


def test_nobody_ever_sees_half_a_file(monkeypatch, tmp_path):
    """Whatever is written is written beside: before each rename, the file that is there is whole."""
    path, seen = tmp_path / "metrics.csv", []
    replacing = metrics_csv.replacing

    @contextmanager
    def watched(place):
        with replacing(place) as beside:
            yield beside
            seen.append(path.read_text() if path.exists() else None)

    monkeypatch.setattr(metrics_csv, "replacing", watched)
    logged(path, ROWS)
    assert seen[0] is None
    for number, text in enumerate(seen[1:], 1):
        rows = list(csv.reader(io.StringIO(text)))
        assert len(rows) == number + 1
        assert text.endswith("\n")
        assert {len(row) for row in rows} == {len(rows[0])}


def test_a_full_disk_leaves_the_file_and_the_rows(whole, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    with Background() as background:
        file, before = MetricsFile(whole, background), whole.read_bytes()
        with monkeypatch.context() as patch:
            patch.setattr(metrics_csv, "_append", full)
            file.log_metrics({"val/loss": 1.0}, step=6)
            with pytest.raises(OSError, match="No space"):
                background.flush()
            file.finalize("failed")
            assert whole.read_bytes() == before
        assert file.mark() == 7
        file.write()
    assert list(read_rows(whole))[6]["val/loss"] == "1.0"


def test_rows_that_come_one_after_another_are_written_together(monkeypatch, tmp_path):
    written = []
    write = MetricsFile.write
    monkeypatch.setattr(MetricsFile, "write", lambda self: (written.append(1), write(self)))
    monkeypatch.setattr(background_module, "DEBOUNCE_SECONDS", 1e6)
    with Background() as background:
        file = MetricsFile(tmp_path / "metrics.csv", background)
        for step in range(1000):
            file.log_metrics({"loss": step}, step=step)
        file.finalize("success")
    assert len(written) <= 4
    assert [int(row["step"]) for row in read_rows(file.path)] == list(range(1000))


def test_rows_logged_while_the_file_is_written_come_after(tmp_path):
    with Background() as background:
        file = MetricsFile(tmp_path / "metrics.csv", background)
        for step in range(300):
            file.log_metrics({"loss": step}, step=step)
            if step % 7 == 0:
                background.add(file.write)
        background.flush()
    assert [int(row["step"]) for row in read_rows(file.path)] == list(range(300))
