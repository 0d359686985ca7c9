"""metrics.csv of every format is read with epochs that count from 1."""

from __future__ import annotations

import pytest

from isthmus.training.writers.metrics_csv import rewind
from isthmus.training.writers.metrics_reader import read_metrics

FORMAT_3 = "epoch,step,test/loss,val/loss\n0,10,,3\n0,10,,2\n1,20,,2\n2,20,1,\n"
FORMAT_2 = "epoch,step,test/loss,val/loss\n0,10,,3\n0.0,10,,2\n1.0,20,,2\n2.0,20,1,\n"
FORMAT_4 = "epoch,step,test/loss,val/loss\n1,10,,3\n1,10,,2\n2,20,,2\n2,20,1,\n"


@pytest.mark.parametrize("text", [FORMAT_2, FORMAT_3, FORMAT_4])
def test_epochs_count_from_1(text, tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_text(text)
    assert [float(row["epoch"]) for row in read_metrics(path)] == [1, 1, 2, 2]


@pytest.mark.parametrize("text", [FORMAT_2, FORMAT_3, FORMAT_4])
def test_a_file_that_is_rewound_counts_from_1_once(text, tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_text(text)
    for _ in range(2):  # a resumed run may be killed and resumed again
        rewind(path, 3)
        assert [row["epoch"] for row in read_metrics(path)] == ["1", "1", "2"]


@pytest.mark.parametrize("epoch", ["", "x", "-1", "1e5", "nan"])
def test_damaged_counts_stay(epoch, tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_text(f"epoch,step\n0,1\n{epoch},2\n")
    assert [row["epoch"] for row in read_metrics(path)] == ["1", epoch]


def test_a_file_without_epochs(tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_text("step,val/loss\n1,2\n")
    assert list(read_metrics(path)) == [{"step": "1", "val/loss": "2"}]
