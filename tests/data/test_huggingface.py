"""Data sets of Hugging Face, from folders that its own package wrote."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from isthmus.common.errors import BadInput
from isthmus.data.huggingface import HuggingFace
from isthmus.data.loading.splits import split_rows
from isthmus.data.table import Table

datasets = pytest.importorskip("datasets")

COLUMNS = {
    "height": [float(row) for row in range(40)],
    "kind": ["ab"[row % 2] for row in range(40)],
    "flag": [row % 3 == 0 for row in range(40)],
}


def pictures(count: int, first: int = 0) -> datasets.Dataset:
    """Grey pictures, each of one grey level, with a class."""
    features = datasets.Features(
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=["even", "odd"])}
    )
    levels = range(first, first + count)
    rows = {
        "image": [Image.fromarray(np.full((6, 5), level, np.uint8)) for level in levels],
        "label": [level % 2 for level in levels],
    }
    return datasets.Dataset.from_dict(rows, features=features)


def test_pictures_with_their_splits_and_classes(tmp_path: Path) -> None:
    splits = datasets.DatasetDict({"train": pictures(30), "test": pictures(7, first=100)})
    splits.save_to_disk(tmp_path / "saved")
    source = HuggingFace(path=str(tmp_path / "saved"))
    assert source.shape == (1, 6, 5)
    assert source.label_names == ["even", "odd"]
    split = split_rows(source, val_size=0.2, test_size=0.2, split_seed=0)
    assert len(split.test) == 7
    assert source.take(split.test)[:, 0, 0, 0].tolist() == list(range(100, 107))
    assert source.labels[split.test].tolist() == [level % 2 for level in range(100, 107)]


@pytest.mark.parametrize("in_memory", [True, False])
def test_shuffled_and_filtered_rows_are_the_ones_read(tmp_path: Path, in_memory: bool) -> None:
    chosen = pictures(20).select([7, 3, 11])
    chosen.save_to_disk(tmp_path / "saved")
    source = HuggingFace(path=str(tmp_path / "saved"), in_memory=in_memory)
    assert source.take(torch.arange(3))[:, 0, 0, 0].tolist() == [7, 3, 11]


def test_a_table_has_the_features_that_a_file_of_the_same_columns_has(tmp_path: Path) -> None:
    data = datasets.Dataset.from_dict(COLUMNS)
    data.save_to_disk(tmp_path / "saved")
    data.to_parquet(tmp_path / "x.parquet")
    ours = HuggingFace(path=str(tmp_path / "saved"))
    file = Table(path=str(tmp_path / "x.parquet"), categorical="onehot", prune=True)
    rows = torch.arange(40)
    assert torch.equal(ours.scaling(rows)(ours.take(rows)), file.scaling(rows)(file.take(rows)))
    assert ours.spans == file.spans


def test_a_folder_of_data_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    (tmp_path / "data").mkdir()
    datasets.Dataset.from_dict(COLUMNS).to_csv(tmp_path / "data" / "train.csv")
    monkeypatch.setenv("HOME", str(tmp_path))
    for path in (str(tmp_path / "data"), "~/data"):
        assert len(HuggingFace(path=path)) == 40


def test_a_folder_that_was_moved_is_the_same_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    fingerprints = []
    for folder, rows in {"a": COLUMNS, "b": COLUMNS, "c": COLUMNS | {"height": [0.5] * 40}}.items():
        (tmp_path / folder).mkdir()
        datasets.Dataset.from_dict(rows).to_csv(tmp_path / folder / "train.csv")
        fingerprints.append(HuggingFace(path=str(tmp_path / folder), drop=["flag"]).fingerprint)
    assert fingerprints[0] == fingerprints[1] != fingerprints[2]


def test_what_is_no_data_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"^path=.*cannot be opened"):
        HuggingFace(path=str(tmp_path))
    for path in ("./nothing", "nothing", "nothing/there", "nothing/at/all"):
        with pytest.raises(BadInput, match=r"^path=.*no such folder, and it cannot be opened from the Hub"):
            HuggingFace(path=path)
    with pytest.raises(BadInput, match=r"give data\.path=FOLDER"):
        HuggingFace(path=None)


def test_a_picture_elsewhere_must_be_a_file(tmp_path: Path) -> None:
    """An endless device would be read for ever."""
    struct = {"bytes": datasets.Value("binary"), "path": datasets.Value("string")}
    rows = {"image": [{"path": "/dev/zero", "bytes": None}]}
    datasets.Dataset.from_dict(rows, features=datasets.Features({"image": struct})).save_to_disk(
        tmp_path / "x"
    )
    info = tmp_path / "x" / "dataset_info.json"
    about = json.loads(info.read_text())
    about["features"]["image"] = {"_type": "Image"}
    info.write_text(json.dumps(about))
    with pytest.raises(BadInput, match="row 0"):
        HuggingFace(path=str(tmp_path / "x"))
