"""Folders of images: Pillow's pixels, in memory or streamed, and a line for each that cannot be used."""

from __future__ import annotations

import errno
import os
import struct
import zlib
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from isthmus.common.errors import BadInput
from isthmus.data import memory
from isthmus.data.images import Images
from isthmus.data.module import DataModule
from isthmus.data.source import Reading


def save(path: Path, *, mode: str = "RGB", size: tuple[int, int] = (12, 10), **options: Any) -> Image.Image:
    """A random image of (width, height) `size`."""
    draw = np.random.default_rng(zlib.crc32(path.name.encode()))
    image = Image.fromarray(draw.integers(0, 256, (size[1], size[0], 4), dtype=np.uint8), "RGBA").convert(
        mode
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)
    return image


def pixels(image: Image.Image) -> Tensor:
    array = np.array(image)
    return torch.from_numpy(array[None] if array.ndim == 2 else array.transpose(2, 0, 1).copy())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(12):
        save(tmp_path / ("cat" if number % 3 else "ant") / "inner" / f"{number:02}.png")
    return tmp_path


@pytest.mark.parametrize("in_memory", [True, False])
def test_pixels_are_pillows(folder: Path, in_memory: bool) -> None:
    source = Images(path=str(folder), in_memory=in_memory)
    assert (len(source), source.shape, source.value_range, source.reading is Reading.MEMORY) == (
        12,
        (3, 10, 12),
        (0, 1),
        in_memory,
    )
    rows = torch.tensor([5, 0, 5])
    taken = source.take(rows)
    assert taken.dtype == torch.uint8
    expected = torch.stack([pixels(Image.open(folder / source.names[row])) for row in rows])
    torch.testing.assert_close(taken, expected, rtol=0, atol=0)
    torch.testing.assert_close(source.scaling(rows)(taken), expected / 255)
    assert source.take(rows[:0]).shape == (0, 3, 10, 12)


def test_rows_are_in_the_order_of_names_and_first_folders_are_classes(folder: Path) -> None:
    source = Images(path=str(folder))
    assert source.names == sorted(source.names)
    assert source.names[0] == "ant/inner/00.png"
    assert source.label_names == ["ant", "cat"]
    assert source.labels is not None
    assert source.labels.tolist() == [0] * 4 + [1] * 8
    save(folder / "top.png")
    assert Images(path=str(folder)).labels is None


def test_only_images_are_taken(tmp_path: Path) -> None:
    for name in ("b.JPG", "a.png", "c.Jpeg", "._a.png", ".hidden/d.png"):
        save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no image")
    assert Images(path=str(tmp_path)).names == ["a.png", "b.JPG", "c.Jpeg"]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
@pytest.mark.parametrize("channels", ["auto", 1, 3])
def test_modes_are_converted(tmp_path: Path, mode: str, channels: Any) -> None:
    image = save(tmp_path / "a.png", mode=mode)
    source = Images(path=str(tmp_path), channels=channels)
    wanted = channels if channels != "auto" else 1 if mode in ("1", "L", "LA") else 3
    torch.testing.assert_close(
        source.take(torch.tensor([0]))[0], pixels(image.convert("L" if wanted == 1 else "RGB"))
    )


def test_one_colour_image_makes_the_folder_colour(tmp_path: Path) -> None:
    grey = save(tmp_path / "a.png", mode="L")
    save(tmp_path / "b.png")
    taken = Images(path=str(tmp_path)).take(torch.tensor([0]))[0]
    torch.testing.assert_close(taken, pixels(grey).expand(3, -1, -1))


@pytest.mark.parametrize(
    ("largest", "bits"), [(200, 8), (1023, 10), (1024, 12), (4095, 12), (9000, 14), (65535, 16)]
)
def test_sixteen_bits_are_kept(tmp_path: Path, largest: int, bits: int) -> None:
    Image.fromarray(np.array([[0, 100, largest]], dtype=np.uint16)).save(tmp_path / "a.png")
    source = Images(path=str(tmp_path))
    stored = source.take(torch.tensor([0]))
    assert source.bits == bits
    assert stored.flatten().tolist() == [0, 100, largest]
    scaled = source.scaling(torch.arange(1))(stored).flatten()
    torch.testing.assert_close(scaled, torch.tensor([0, 100, largest]) / (2**bits - 1))


def test_eight_bits_beside_sixteen_are_scaled_alike(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 65535]], dtype=np.uint16)).save(tmp_path / "a.png")
    Image.fromarray(np.array([[128, 255]], dtype=np.uint8)).save(tmp_path / "b.png")
    source = Images(path=str(tmp_path))
    scaled = source.scaling(torch.arange(2))(source.take(torch.arange(2)))
    torch.testing.assert_close(scaled.flatten(), torch.tensor([0, 1, 128 / 255, 1]))


@pytest.mark.parametrize(
    ("size", "wanted"), [(6, (6, 6)), ([6, 8], (6, 8)), ((20, 30), (20, 30)), (None, (10, 12))]
)
def test_resized_with_antialiasing(tmp_path: Path, size: Any, wanted: tuple[int, int]) -> None:
    image = save(tmp_path / "a.png")
    source = Images(path=str(tmp_path), size=size)
    expected = pixels(image.resize((wanted[1], wanted[0]), Image.Resampling.LANCZOS))
    torch.testing.assert_close(source.take(torch.tensor([0]))[0], expected)
    assert source.describe()["size"] == list(wanted)


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_exif_orientation_is_applied(tmp_path: Path, suffix: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright: turn by 90 degrees clockwise
    path = tmp_path / f"a.{suffix}"
    save(path, size=(12, 8), exif=exif)
    expected = np.rot90(np.array(Image.open(path)), k=-1).transpose(2, 0, 1).copy()
    source = Images(path=str(tmp_path))
    assert source.shape == (3, 12, 8)
    torch.testing.assert_close(source.take(torch.tensor([0]))[0], torch.from_numpy(expected))


def test_in_memory_and_streamed_batches_are_equal_with_workers(folder: Path) -> None:
    def batches(in_memory: bool) -> list[Any]:
        module = DataModule(
            Images(path=str(folder), size=8, in_memory=in_memory),
            batch_size=4,
            eval_batch_size=2,
            val_size=2,
            test_size=0.2,
            split_seed=0,
            num_workers=2,
            seed=0,
        )
        loaders = (module.train_dataloader(), module.test_dataloader())
        assert [loader.num_workers for loader in loaders] == [0 if in_memory else 2] * 2  # type: ignore[union-attr]
        return [batch for loader in loaders for batch in loader]

    resident, streamed = batches(True), batches(False)
    assert len(resident) == len(streamed) == 3
    for one, other in zip(resident, streamed, strict=True):
        torch.testing.assert_close(tuple(one), tuple(other), rtol=0, atol=0)


def test_the_fingerprint_follows_bytes_names_and_shape(folder: Path) -> None:
    path = str(folder)
    first = Images(path=path).fingerprint
    assert Images(path=path, in_memory=False).fingerprint == first
    prints = {first, Images(path=path, size=5).fingerprint, Images(path=path, channels=1).fingerprint}
    (folder / "ant").rename(folder / "bee")
    prints.add(Images(path=path).fingerprint)
    save(folder / "bee" / "inner" / "other.png").save(folder / "bee" / "inner" / "00.png")
    (folder / "bee" / "inner" / "other.png").unlink()
    prints.add(Images(path=path).fingerprint)
    assert len(prints) == 5


def test_what_a_run_records(folder: Path) -> None:
    record = Images(path=str(folder)).describe()
    assert (record["files"], record["size"], record["channels"]) == (12, [10, 12], 3)
    assert record["label_names"] == ["ant", "cat"]


def test_the_example_photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    source = Images(path="example:photos")
    assert (len(source), source.shape, source.label_names) == (520, (3, 32, 32), ["china", "flower"])


@pytest.mark.parametrize(("free", "resident"), [(4 * 12 * 360, False), (4 * 12 * 360 + 1, True)])
def test_auto_takes_less_than_a_quarter_of_memory(
    folder: Path, monkeypatch: pytest.MonkeyPatch, free: int, resident: bool
) -> None:
    monkeypatch.setattr(memory, "available_memory", lambda: free)
    assert (Images(path=str(folder)).reading is Reading.MEMORY) is resident


def refused(**arguments: Any) -> BadInput:
    with pytest.raises(BadInput) as caught:
        Images(**arguments)
    assert len(str(caught.value).splitlines()) == 1
    return caught.value


def broken(content: bytes, how: str) -> bytes:
    return {"cut": content[: len(content) // 2], "garbage": b"no image", "empty": b""}[how]


@pytest.mark.parametrize("in_memory", [True, False])
@pytest.mark.parametrize("size", [None, 5])
@pytest.mark.parametrize("how", ["cut", "garbage", "empty"])
@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_a_file_that_is_no_whole_image_is_named(
    tmp_path: Path, suffix: str, how: str, size: int | None, in_memory: bool
) -> None:
    for name in "abcd":
        save(tmp_path / f"{name}.{suffix}")
    for name in "ac":
        file = tmp_path / f"{name}.{suffix}"
        file.write_bytes(broken(file.read_bytes(), how))
    error = refused(path=str(tmp_path), size=size, in_memory=in_memory)
    assert (error.key, error.value) == ("path", str(tmp_path))
    assert error.fix == (
        f"a.{suffix}, c.{suffix} cannot be read as images; remove or replace them; "
        "data.broken=skip leaves out such images"
    )
    (tmp_path / f"c.{suffix}").unlink()
    assert f"a.{suffix} cannot be read as an image; remove" in refused(path=str(tmp_path), size=size).fix


@pytest.mark.parametrize("in_memory", [True, False])
def test_broken_images_are_all_named_or_left_out(tmp_path: Path, in_memory: bool) -> None:
    """A header that cannot be read, and pixels that are missing; the two are found at different times."""
    for number in range(10):
        save(tmp_path / ("cat" if number % 2 else "ant") / f"{number}.png", mode="L")
    whole = Images(path=str(tmp_path), in_memory=in_memory)
    save(tmp_path / "ant" / "cut.png")  # the only colour image
    content = (tmp_path / "ant" / "cut.png").read_bytes()
    (tmp_path / "ant" / "cut.png").write_bytes(content[: len(content) // 2])
    for number in range(6):
        (tmp_path / "cat" / f"text{number}.png").write_bytes(b"no image")
    bad = "ant/cut.png, cat/text0.png, cat/text1.png, cat/text2.png, cat/text3.png and 2 more"
    assert refused(path=str(tmp_path)).fix.startswith(f"{bad} cannot be read as images; ")
    source = Images(path=str(tmp_path), in_memory=in_memory, broken="skip")
    assert (source.names, source.channels) == (whole.names, 1)
    assert source.fingerprint == whole.fingerprint
    assert source.labels is not None
    assert source.labels.tolist() == [0] * 5 + [1] * 5
    rows = torch.arange(10)
    torch.testing.assert_close(source.take(rows), whole.take(rows), rtol=0, atol=0)
    assert ("skipped", f"7 images that are broken: {bad}") in source.remarks(rows)
    assert source.describe()["left_out"] == 7
    for name in whole.names:
        (tmp_path / name).unlink()
    assert "cannot be read" in refused(path=str(tmp_path), broken="skip").fix


def test_a_folder_of_broken_images_alone(tmp_path: Path) -> None:
    save(tmp_path / "a.jpg")
    (tmp_path / "a.jpg").write_bytes((tmp_path / "a.jpg").read_bytes()[:-200])
    assert "a.jpg cannot be read as an image" in refused(path=str(tmp_path)).fix


@pytest.mark.parametrize("locked", ["b", "a/0.png"])
def test_what_may_not_be_read_is_not_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, locked: str
) -> None:
    for name in ("a/0.png", "a/1.png", "b/0.png", "lost+found/0.png"):
        save(tmp_path / name)
    stat, scandir = os.stat, os.scandir

    def checked(look_up: Any, path: Any, **options: Any) -> Any:
        if os.fspath(path) == str(tmp_path / locked):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), os.fspath(path))
        return look_up(path, **options)

    monkeypatch.setattr(os, "stat", partial(checked, stat))
    monkeypatch.setattr(os, "scandir", partial(checked, scandir))
    assert f"{locked} cannot be read (Permission denied)" in refused(path=str(tmp_path)).fix
    monkeypatch.undo()
    assert Images(path=str(tmp_path)).names == ["a/0.png", "a/1.png", "b/0.png"]


@pytest.mark.parametrize("side", [8001, 20_000, 65_000])
def test_a_decompression_bomb_is_refused_by_its_header(
    tmp_path: Path, side: int, recwarn: pytest.WarningsRecorder
) -> None:
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 1000)), (b"IEND", b"")]
    content = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
    (tmp_path / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + content)
    error = refused(path=str(tmp_path), size=8)
    assert error.fix == "bomb.png has more than 64 megapixels; make it smaller or remove it"
    assert not recwarn.list


def test_other_sizes_need_one_size(tmp_path: Path) -> None:
    save(tmp_path / "a.png", size=(12, 10))
    save(tmp_path / "b.png", size=(10, 12))
    error = refused(path=str(tmp_path))
    assert (error.key, error.value) == ("size", None)
    assert "b.png has 12 x 10 pixels and the first image 10 x 12" in error.fix
    assert "data.size=10 or 'data.size=[10,12]'" in error.fix
    assert Images(path=str(tmp_path), size=[10, 12]).shape == (3, 10, 12)


def test_a_folder_without_images(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    assert "there is no image" in refused(path=str(tmp_path)).fix


@pytest.mark.parametrize(
    ("choice", "key", "says"),
    [
        ({"path": None}, "path", "give data.path=FOLDER"),
        ({"path": "nowhere"}, "path", "there is no such folder"),
        ({"path": __file__}, "path", "is a file"),
        ({"size": 0}, "size", "at least 1"),
        ({"size": "8"}, "size", "whole number"),
        ({"size": [8]}, "size", "[height,width]"),
        ({"size": [8, 2.5]}, "size", "whole number"),
        ({"channels": 4}, "channels", "auto, 1, 3"),
        ({"channels": True}, "channels", "auto, 1, 3"),
        ({"in_memory": "yes"}, "in_memory", "auto, true, false"),
        ({"broken": "drop"}, "broken", "refuse, skip"),
    ],
)
def test_a_choice_that_cannot_work(folder: Path, choice: dict[str, Any], key: str, says: str) -> None:
    error = refused(**{"path": str(folder), **choice})
    assert error.key == key
    assert says in error.fix
