"""The named examples: what is in them, and how they get into the cache."""

from __future__ import annotations

import csv
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_breast_cancer, load_sample_image

from isthmus.common.errors import BadInput
from isthmus.data.examples import EXAMPLES, locate


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "isthmus" / "examples"


def test_an_ordinary_path_stays_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/somewhere")
    assert locate("a/b.csv") == Path("a/b.csv")
    assert locate("~/b.csv") == Path("/somewhere/b.csv")


def test_breast_cancer_is_sklearns(cache: Path) -> None:
    path = locate("example:breast_cancer.csv")
    assert path == cache / "breast_cancer.csv"
    with path.open(newline="") as file:
        header, *rows = csv.reader(file)
    bunch = load_breast_cancer()
    assert header == [*bunch.feature_names, "diagnosis"]
    np.testing.assert_array_equal(np.array([row[:-1] for row in rows], dtype=float), bunch.data)
    assert [row[-1] for row in rows] == [bunch.target_names[target] for target in bunch.target]


def test_photos_are_tiles_without_overlap(cache: Path) -> None:
    folder = locate("example:photos")
    tiles = {name: sorted((folder / name).iterdir()) for name in ("china", "flower")}
    assert {name: len(files) for name, files in tiles.items()} == {"china": 260, "flower": 260}
    for name, files in tiles.items():
        rows = [
            np.hstack([np.asarray(Image.open(file)) for file in files[at : at + 20]])
            for at in range(0, 260, 20)
        ]
        np.testing.assert_array_equal(np.vstack(rows), load_sample_image(f"{name}.jpg")[: 13 * 32])


def test_patches_are_grey_pieces_at_stride_8(cache: Path) -> None:
    patches = np.load(locate("example:patches.npy"))
    assert patches.shape == (2 * 52 * 79, 16, 16)
    assert patches.dtype == np.float32
    assert 0 <= patches.min() < 0.1
    assert 0.9 < patches.max() <= 1
    flower = np.asarray(Image.fromarray(load_sample_image("flower.jpg")).convert("L")) / 255
    np.testing.assert_allclose(patches[52 * 79 + 79 + 2], flower[8:24, 16:32], atol=1e-6)


def test_made_once(cache: Path) -> None:
    path = locate("example:breast_cancer.csv")
    path.write_text("kept")
    assert locate("example:breast_cancer.csv").read_text() == "kept"


@pytest.mark.parametrize("name", ["photos", "breast_cancer.csv"])
def test_processes_at_once_end_with_one_whole_copy(cache: Path, name: str) -> None:
    with ProcessPoolExecutor(3, mp_context=get_context("fork")) as pool:
        paths = set(pool.map(locate, [f"example:{name}"] * 3))
    assert paths == {cache / name}
    assert [path.name for path in cache.iterdir()] == [name]


def test_a_folder_made_meanwhile_is_used(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(folder: Path) -> None:
        (cache / "photos").mkdir()
        (cache / "photos" / "theirs.png").touch()
        folder.mkdir()

    monkeypatch.setitem(EXAMPLES, "photos", slow)
    assert [file.name for file in locate("example:photos").iterdir()] == ["theirs.png"]
    assert [path.name for path in cache.iterdir()] == ["photos"]


def test_one_that_fails_leaves_nothing(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(path: Path) -> None:
        path.write_text("half")
        raise RuntimeError("stopped")

    monkeypatch.setitem(EXAMPLES, "patches.npy", fails)
    with pytest.raises(RuntimeError, match="stopped"):
        locate("example:patches.npy")
    assert list(cache.iterdir()) == []


def test_an_unknown_example_lists_those_there_are(cache: Path) -> None:
    with pytest.raises(
        BadInput, match=r"example:breast_cancer\.csv, example:photos, example:patches\.npy"
    ) as caught:
        locate("example:cats")
    assert (caught.value.key, caught.value.value) == ("path", "example:cats")


def test_a_cache_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(BadInput, match="set XDG_CACHE_HOME"):
        locate("example:photos")
