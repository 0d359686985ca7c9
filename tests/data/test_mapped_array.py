"""Arrays in mapped files: NumPy's values in every layout, and memory that does not grow with the file."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from isthmus.common.errors import BadInput
from isthmus.data.formats import mapped_array
from isthmus.data.formats.npy import map_npy

RNG = np.random.default_rng(0)
ROWS = np.array([7, 0, 7, 599, 3])


@pytest.fixture
def advice(monkeypatch):
    """What the system is told."""
    told = []
    advise = mapped_array.MappedArray._advise

    def noted(self, name, *where):
        told.append((name, *where))
        advise(self, name, *where)

    monkeypatch.setattr(mapped_array.MappedArray, "_advise", noted)
    return told


def saved(tmp_path, values):
    np.save(tmp_path / "x.npy", values)
    return map_npy(tmp_path / "x.npy")


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["u1", "?", "<f4", ">f4", "f8", "<i2"])
@pytest.mark.parametrize("shape", [(600,), (600, 5), (600, 3, 4)])
@pytest.mark.parametrize("most", [0, 1 << 30])
def test_rows_equal_numpys(tmp_path, monkeypatch, shape, dtype, order, most):
    monkeypatch.setattr(mapped_array, "MAX_RESIDENT", most)
    monkeypatch.setattr(mapped_array, "CHECK_EVERY", 20)
    values = np.asarray(RNG.integers(0, 2, shape).astype(dtype), order=order)
    array = saved(tmp_path, values)
    assert (len(array), array.shape, array.dtype) == (600, values.shape, values.dtype)
    for rows in (ROWS, ROWS[:0], slice(2, 9), slice(598, 700)):
        np.testing.assert_array_equal(array[rows], values[rows])
        assert array[rows].dtype == values.dtype
    np.testing.assert_array_equal(np.asarray(array), values)
    assert array[ROWS].flags.writeable
    assert not array[1:2].flags.writeable


@pytest.mark.parametrize("rows", [ROWS, slice(2, 9)])
def test_a_file_that_becomes_shorter_is_one_line(tmp_path, rows):
    array = saved(tmp_path, RNG.random((600, 50)))
    with (tmp_path / "x.npy").open("r+b") as file:
        file.truncate(6000)
    with pytest.raises(BadInput, match=r"^data.path=.*x\.npy: became shorter"):
        array[rows]


def test_nothing_taken_tells_nothing_of_the_disk(tmp_path, advice):
    array = saved(tmp_path, RNG.random((100_000, 50)))
    array[ROWS[:0]]
    array[np.array([0, 99_999])]
    assert [name for name, *_ in advice] == ["MADV_RANDOM"]


def test_values_that_are_not_aligned(tmp_path):
    """As they lie in an .npz."""
    values = RNG.random((600, 5))
    (tmp_path / "x.bin").write_bytes(b"abc" + values.tobytes())
    array = mapped_array.MappedArray(
        tmp_path / "x.bin", offset=3, shape=values.shape, dtype=values.dtype, order="C"
    )
    np.testing.assert_array_equal(array[ROWS], values[ROWS])
    np.testing.assert_array_equal(array[5:9], values[5:9])


@pytest.mark.parametrize("row", [-1, 600])
def test_rows_that_are_not_there(tmp_path, row):
    array = saved(tmp_path, RNG.random((600, 5)))
    with pytest.raises(IndexError, match="of 600"):
        array[np.array([3, row])]


def test_neighbours_are_read_where_they_are_wanted(tmp_path, monkeypatch, advice):
    monkeypatch.setattr(mapped_array, "SEEK", 50)
    monkeypatch.setattr(mapped_array, "UNCACHED", 10.0)
    array = saved(tmp_path, np.zeros((600, 10), np.uint8))
    for rows in ([1, 2, 5], [9, 8, 7], [0, 599], [590, 10], [3, 4]):
        array[np.array(rows)]
    assert advice == [("MADV_RANDOM",), ("MADV_NORMAL",)]


def test_what_the_disk_is_slow_to_give_is_asked_for_together(tmp_path, monkeypatch, advice):
    monkeypatch.setattr(mapped_array, "SEEK", 0)
    array = saved(tmp_path, np.zeros((600, 1000), np.uint8))
    monkeypatch.setattr(mapped_array, "UNCACHED", -1.0)
    array[ROWS]
    assert advice == [("MADV_RANDOM",)]
    array[ROWS]
    page = mapped_array.mmap.PAGESIZE
    for row, (name, start, length) in zip(ROWS, advice[1:], strict=True):
        begin = 128 + row * 1000
        assert name == "MADV_WILLNEED"
        assert start % page == 0
        assert start <= begin < start + page
        assert start + length == begin + 1000


@pytest.mark.parametrize("what", ["madvise", "MADV_RANDOM", "/proc"])
def test_systems_that_take_no_advice(tmp_path, monkeypatch, what):
    values = RNG.random((600, 5))
    array = saved(tmp_path, values)
    monkeypatch.setattr(mapped_array, "MAX_RESIDENT", 0)
    if what == "/proc":
        monkeypatch.setattr(mapped_array, "_mapped_memory", lambda: None)
    else:
        names = [name for name in dir(mapped_array.mmap) if name.startswith("MADV")]
        for name in names if what == "madvise" else [what]:
            monkeypatch.delattr(mapped_array.mmap, name)
    np.testing.assert_array_equal(array[ROWS], values[ROWS])


WALK = """
import json, sys
from isthmus.data.formats import mapped_array
from isthmus.data.arrays import Arrays
from isthmus.data.module import DataModule

MB = 1 << 20
mapped_array.MAX_RESIDENT = 40 * MB
seen = []

def look():
    with open("/proc/self/status") as lines:
        values = dict(line.split(":") for line in lines)
    seen.append([int(values[name].split()[0]) * 1024 / MB for name in ("RssAnon", "RssFile")])

path, scaling = sys.argv[1:]
source = Arrays(path=path, labels=None, key=None, in_memory=False, scaling=scaling)
look()
data = DataModule(source, batch_size=128, eval_batch_size=512, val_size=0.1, test_size=0.1, split_seed=0,
                  num_workers=2, seed=0, steps_per_execution=8)
look()
for loader in (data.train_dataloader(), data.val_dataloader(), data.train_dataloader()):
    for count, batch in enumerate(loader):
        assert int(batch.x[0, 0]) == int(batch.rows[0]) % 251
        if count % 10 == 0:
            look()
print(json.dumps(seen))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("scaling", ["none", "standardize"])
def test_memory_is_flat(tmp_path, scaling):
    """400 MB are read three times, of which 40 MB may be in memory before they are given back."""
    path = tmp_path / "x.npy"
    array = np.lib.format.open_memmap(path, "w+", np.uint8, (500_000, 784))
    array[:] = (np.arange(len(array)) % 251)[:, None]
    array.flush()
    walk = subprocess.run(
        [sys.executable, "-c", WALK, str(path), scaling], capture_output=True, text=True, check=False
    )
    assert not walk.returncode, walk.stderr
    anonymous, of_files = np.array(json.loads(walk.stdout)).T
    assert len(anonymous) > 80
    # before training scikit-learn may be imported; the libraries are files too, of some 110 MB
    assert np.ptp(anonymous[2:]) < 40
    assert of_files.max() - of_files.min() < 200


def test_a_file_of_python_2_is_read_in_silence(tmp_path, recwarn):
    header = "{'descr': '<i2', 'fortran_order': False, 'shape': (2L, 3L), }".ljust(117) + "\n"
    content = b"\x93NUMPY\x01\x00v\x00" + header.encode() + np.arange(6, dtype="<i2").tobytes()
    (tmp_path / "x.npy").write_bytes(content)
    assert map_npy(tmp_path / "x.npy").shape == (2, 3)
    assert not recwarn.list
