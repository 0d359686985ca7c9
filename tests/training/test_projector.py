"""The table that TensorBoard's projector shows beside the codes: one row an example, whatever its label."""

from __future__ import annotations

import pytest
import torch

from isthmus.training.writers.projector import write_projector

NAMES = {
    "plain": "plain",
    "": "",
    "two words": "two words",
    " ": " ",
    "naïve 猫\u3000\U0001f468\u200d\U0001f469 c:\\new": "naïve 猫\u3000\U0001f468\u200d\U0001f469 c:\\new",
    "a\nb": "a\\nb",
    "a\tb": "a\\tb",
    "a\r\nb\r": "a\\r\\nb\\r",
    "\x1b[31m\x00\x0b\x0c\x1c\x85\u2028": "\\x1b[31m\\x00\\x0b\\x0c\\x1c\\x85\\u2028",
    "\udcff": "\\udcff",  # as Python reads a file name that is not UTF-8
}


def rows_of(folder):
    """As the projector parses it: lines of nothing but white space are skipped."""
    text = (folder / "projector" / "codes" / "metadata.tsv").read_bytes().decode("utf-8")
    return [line.split("\t") for line in text.split("\n") if line.strip()]


@pytest.fixture
def codes():
    count = len(NAMES)
    return {
        "codes": torch.randn(count, 3),
        "ids": torch.arange(10, 10 + count),
        "labels": torch.arange(count),
    }


def test_a_label_is_one_cell(codes, tmp_path):
    write_projector(tmp_path, codes, label_names=list(NAMES), images=None)
    shown = [[name, str(row)] for name, row in zip(NAMES.values(), codes["ids"].tolist(), strict=True)]
    assert rows_of(tmp_path) == [["label", "id"], *shown]


def test_labels_without_names(codes, tmp_path):
    write_projector(tmp_path, codes, label_names=None, images=None)
    assert rows_of(tmp_path)[:2] == [["label", "id"], ["0", "10"]]


def test_without_labels_there_is_no_header(codes, tmp_path):
    """The projector takes the first of rows with one column for an example."""
    del codes["labels"]
    write_projector(tmp_path, codes, label_names=None, images=None)
    assert rows_of(tmp_path) == [[str(row)] for row in codes["ids"].tolist()]
