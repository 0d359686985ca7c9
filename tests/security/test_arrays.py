"""Arrays that a stranger made: none unpacks to more than there is room for, none runs anything."""

from __future__ import annotations

import gzip
import os
import pickle
import stat
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest

from isthmus.data.arrays import Arrays
from isthmus.data.fashion_mnist import TEST_LABELS, FashionMNIST
from isthmus.data.formats.idx import read_idx

MB = 1 << 20


class Touches:
    def __init__(self, canary):
        self.canary = canary

    def __reduce__(self):
        return os.system, (f"touch {self.canary}",)


def arrays(path, **options):
    return Arrays(
        **{"path": str(path), "labels": None, "key": None, "in_memory": "auto", "scaling": "none", **options}
    )


def header(shape, descr="'|u1'", version=1):
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    length = struct.pack("<H" if version == 1 else "<I", len(text))
    return b"\x93NUMPY" + bytes([version, 0]) + length + text


def npz(path, content, *, method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in content:
            archive.writestr(name, data)
    return path


def with_size(path, size):
    """The archive with another unpacked size in its directory."""
    content = bytearray(path.read_bytes())
    at = content.rfind(b"PK\x01\x02")
    content[at + 24 : at + 28] = struct.pack("<I", size)
    path.write_bytes(content)
    return path


def zeros(size):
    return header((size // 1000, 1000)) + bytes(size)


NPZ = {
    "a bomb": (lambda p: npz(p, [("x.npy", zeros(16_000_000))]), "the array would take 17 MB"),
    "a bomb in bzip2": (
        lambda p: npz(p, [("x.npy", zeros(16_000_000))], method=zipfile.ZIP_BZIP2),
        "another method",
    ),
    "a bomb in lzma": (
        lambda p: npz(p, [("x.npy", zeros(16_000_000))], method=zipfile.ZIP_LZMA),
        "another method",
    ),
    "a shape of terabytes": (lambda p: npz(p, [("x.npy", header((10**9, 10**4)))]), "is damaged: it says"),
    "a shape beyond numbers": (lambda p: npz(p, [("x.npy", header((10**30, 10**30)))]), "is damaged"),
    "a negative shape": (lambda p: npz(p, [("x.npy", header((-1, -5)))]), "is damaged"),
    "more than it says": (lambda p: npz(p, [("x.npy", header((2, 2)) + bytes(16 * MB))]), "is damaged"),
    "a lie in the directory": (
        lambda p: with_size(npz(p, [("x.npy", header((2, 2)) + bytes(16 * MB))]), len(header((2, 2))) + 4),
        "cannot be read",
    ),
    "a terabyte in the directory": (
        lambda p: with_size(npz(p, [("x.npy", header((2**30, 3)))]), 3 * 2**30 + len(header((2**30, 3)))),
        "would take 37.6 GB",
    ),
    "a long header": (
        lambda p: npz(p, [("x.npy", b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**31) + b" " * (16 * MB))]),
        "not in the .npy format",
    ),
    "objects": (
        lambda p: npz(p, [("x.npy", header((1,), "'|O'") + pickle.dumps(Touches(os.environ["CANARY"])))]),
        "Python objects",
    ),
    "stored objects": (
        lambda p: npz(
            p, [("x.npy", header((1,), "'|O'") + pickle.dumps(Touches(os.environ["CANARY"])))], method=0
        ),
        "Python objects",
    ),
    "objects in fields": (
        lambda p: npz(p, [("x.npy", header((1,), "[('a', '|O')]"))]),
        "Python objects",
    ),
    "an archive in it": (lambda p: npz(p, [("x.npy", b"PK\x03\x04" + bytes(100))]), "not in the .npy format"),
    "a name upwards": (lambda p: npz(p, [("../../x.npy", zeros(1000))]), "a name that leads out"),
    "a name from the root": (lambda p: npz(p, [("/etc/x.npy", zeros(1000))]), "a name that leads out"),
    "a name twice": (lambda p: twice(p), "holds two arrays called x"),
    "a link": (lambda p: npz(p, [(link("x.npy"), "/etc/passwd")]), "not in the .npy format"),
    "a stored link": (lambda p: npz(p, [(link("x.npy"), "/etc/passwd")], method=0), "not in the .npy format"),
    "code for a header": (
        lambda p: npz(p, [("x.npy", header("__import__('os').system('touch canary')"))]),
        "not in the .npy format",
    ),
    "brackets for a header": (
        lambda p: npz(p, [("x.npy", header("(" * 9000))]),
        "not in the .npy format",
    ),
    "an offset beyond the file": (lambda p: beyond(p), "cannot be read"),
    "no array": (lambda p: npz(p, [("x.txt", b"")]), "say which array"),
}


def twice(path):
    with pytest.warns(UserWarning, match="Duplicate name"):
        return npz(path, [("x.npy", zeros(1000)), ("x.npy", zeros(2000))])


def link(name):
    info = zipfile.ZipInfo(name)
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


def beyond(path):
    npz(path, [("x.npy", zeros(1000))], method=zipfile.ZIP_STORED)
    content = bytearray(path.read_bytes())
    at = content.rfind(b"PK\x01\x02")
    content[at + 42 : at + 46] = struct.pack("<I", 0x7FFFFFFF)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("name", NPZ)
def test_a_hostile_npz(name, tmp_path, canary, monkeypatch, small, frugal, unusable):
    monkeypatch.chdir(tmp_path)
    make, says = NPZ[name]
    tracemalloc.stop()
    path = make(tmp_path / "x.npz")
    tracemalloc.start()
    unusable(lambda: arrays(path), "key=null" if name == "no array" else f"path={path}: ", says)
    assert sorted(found.name for found in tmp_path.iterdir()) == ["x.npz"]


NPY = {
    "terabytes": (header((10**12, 10)), "bytes are missing"),
    "beyond numbers": (header((10**30, 10**30)), "bytes are missing"),
    "negative": (header((-(10**9), 10)), "is damaged"),
    "twice negative": (header((-3, -4)) + bytes(12), "is damaged"),
    "wide fields": (header((2, 2), "'(10000,10000)f8'"), "bytes are missing"),
    "wide text": (header((2, 2), "'<U500000000'"), "bytes are missing"),
    "nothing, often": (header((10**15, 0)), "there is nothing in it"),
    "nothing wide": (header((10**15, 10), "'|V0'"), ""),
    "a long header": (b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**32 - 1), "not in the .npy format"),
    "objects": (header((1,), "'|O'") + pickle.dumps([1]), "Python objects"),
    "a pickle": (pickle.dumps([1]), "not in the .npy format"),
    "an archive": (b"PK\x03\x04", "not in the .npy format"),
    "brackets": (header("(" * 9000), "not in the .npy format"),
    "minuses": (header("-" * 9000 + "1"), "not in the .npy format"),
    "a call": (header("(exit(3),)"), "not in the .npy format"),
    "a strange type": (header((1, 1), "'f4,,'"), "not in the .npy format"),
    "a type of nothing": (header((1, 1), "()"), "not in the .npy format"),
}


@pytest.mark.parametrize("name", NPY)
def test_a_hostile_npy(name, tmp_path, frugal, unusable):
    content, says = NPY[name]
    path = tmp_path / "x.npy"
    path.write_bytes(content)
    unusable(lambda: arrays(path), f"path={path}: ", says)


def test_a_pickle_for_labels(tmp_path, canary, unusable):
    np.save(tmp_path / "x.npy", np.zeros((1, 2)))
    np.save(tmp_path / "y.npy", np.array([Touches(canary)], dtype=object))
    unusable(lambda: arrays(tmp_path / "x.npy", labels=str(tmp_path / "y.npy")), "labels=", "Python objects")
    assert not canary.exists()


def idx(*sizes):
    return bytes([0, 0, 8, len(sizes)]) + struct.pack(f">{len(sizes)}I", *sizes)


IDX = {
    "a bomb": (idx(2, 5) + bytes(40 * MB), "or more"),
    "a shape of terabytes": (idx(2**32 - 1, 2**31), "would take"),
    "eight sizes": (idx(*[2**32 - 1] * 8), "would take"),
    "255 sizes": (idx(*[2**32 - 1] * 255), "not an IDX file"),
    "less than it says": (idx(9 * MB) + bytes(10), "is truncated or damaged"),
}


@pytest.mark.parametrize("pack", [gzip.compress, bytes], ids=["gzip", "plain"])
@pytest.mark.parametrize("name", IDX)
def test_a_hostile_idx(name, pack, tmp_path, small, frugal):
    content, says = IDX[name]
    tracemalloc.stop()
    (tmp_path / "x").write_bytes(pack(content))
    tracemalloc.start()
    with pytest.raises(ValueError, match=says):
        read_idx(tmp_path / "x")


@pytest.mark.parametrize("name", IDX)
def test_hostile_fashion_mnist(name, tmp_path, frugal, unusable):
    content, _ = IDX[name]
    says = "not an IDX file" if name == "255 sizes" else "holds values of the shape ["
    tracemalloc.stop()
    (tmp_path / TEST_LABELS.name).write_bytes(gzip.compress(content))
    tracemalloc.start()
    unusable(lambda: FashionMNIST(root=str(tmp_path)), f"root={tmp_path}: ", says)
