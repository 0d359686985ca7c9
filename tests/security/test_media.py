"""Images, tables and downloads that a stranger made: none unpacks to more than there is room for."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zlib

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from isthmus.data import download
from isthmus.data.images import Images
from isthmus.data.table import Table

MB = 1 << 20


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, *chunks, rows=b""):
    size = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return (
        b"\x89PNG\r\n\x1a\n"
        + size
        + b"".join(chunks)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def jpeg(width, height):
    from PIL import Image

    file = io.BytesIO()
    Image.new("L", (8, 8)).save(file, "JPEG")
    content = bytearray(file.getvalue())
    at = content.find(b"\xff\xc0")
    content[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return bytes(content)


BOMB = zlib.compress(bytes(40 * MB))
IMAGES = {
    "huge.png": (png(100_000, 100_000), "more than 64 megapixels"),
    "largest.png": (png(2**31 - 1, 2**31 - 1), "more than 64 megapixels"),
    "long.png": (png(1, 2**31 - 1), "more than 64 megapixels"),
    "just_above.png": (png(8001, 8000), "more than 64 megapixels"),
    "huge.jpg": (jpeg(65_500, 65_500), "more than 64 megapixels"),
    "text.png": (png(2, 2, chunk(b"zTXt", b"a\0\0" + BOMB), rows=bytes(6)), "cannot be read"),
    "itext.png": (png(2, 2, chunk(b"iTXt", b"a\0\x01\0\0\0" + BOMB), rows=bytes(6)), "cannot be read"),
    "profile.png": (png(2, 2, chunk(b"iCCP", b"a\0\0" + BOMB), rows=bytes(6)), "cannot be read"),
    "texts.png": (
        png(2, 2, *[chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(MB - 9)))] * 80, rows=bytes(6)),
        "cannot be read",
    ),
    "nothing.png": (png(0, 0), "cannot be read"),
    "short.png": (png(700, 700, rows=b"\0"), "cannot be read"),
    "postscript.png": (
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(touch canary) system\n",
        "cannot be",
    ),
    "tiff.png": (b"II*\0\x08\0\0\0\0\0\0\0\0\0", "cannot be read"),
    "gif.jpg": (b"GIF89a\xff\xff\xff\xff\0\0\0;", "cannot be read"),
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", IMAGES)
def test_a_hostile_image(name, tmp_path, unusable):
    content, says = IMAGES[name]
    (tmp_path / name).write_bytes(content)
    tracemalloc.start()
    unusable(lambda: Images(path=str(tmp_path)), f"path={tmp_path}: {name} ", says)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < (70 if name == "texts.png" else 9) * MB


@pytest.mark.parametrize("size", [10**9, [10**6, 10**6], [1, 10**8]])
def test_images_that_a_config_would_enlarge(size, tmp_path, unusable):
    (tmp_path / "x.png").write_bytes(png(2, 2, rows=bytes(6)))
    unusable(lambda: Images(path=str(tmp_path), size=size), "size=", "megapixels")


def test_a_table_of_equal_values(tmp_path, small, unusable):
    table = pa.table({"a": pa.array(np.zeros(400_000)), "b": pa.array(np.zeros(400_000))})
    parquet.write_table(table, tmp_path / "x.parquet", compression="zstd")
    assert (tmp_path / "x.parquet").stat().st_size < MB
    unusable(lambda: Table(path=str(tmp_path / "x.parquet")), "the data would take ")


@pytest.mark.parametrize("before", ["", "\n\r\n", '"a\n",'])
def test_a_table_of_many_columns(before, tmp_path, small, unusable):
    names = ",".join(f"c{at}" for at in range(5000))
    (tmp_path / "x.csv").write_text(f"{before}{names}\n{',' * 5000}\n")
    unusable(lambda: Table(path=str(tmp_path / "x.csv")), "the table would take ")


def test_a_table_of_lists(tmp_path, small, unusable):
    lists = pa.array([np.zeros(1_400_000)])
    parquet.write_table(pa.table({"a": lists}), tmp_path / "x.parquet", compression="zstd")
    unusable(lambda: Table(path=str(tmp_path / "x.parquet")), "holds list<element: double>")


def test_a_table_that_has_the_same_rows_again_and_again(tmp_path, unusable):
    path = tmp_path / "x.parquet"
    parquet.write_table(pa.table({"a": np.arange(2000.0)}), path, compression="none", use_dictionary=False)
    again = parquet.read_metadata(path)
    for _ in range(100):
        again.append_row_groups(parquet.read_metadata(path))
    footer = io.BytesIO()
    again.write_metadata_file(footer)
    path.write_bytes(path.read_bytes() + footer.getvalue())
    assert parquet.read_metadata(path).num_rows == 101 * 2000
    unusable(lambda: Table(path=str(path)), "larger than the file")


@pytest.mark.parametrize("options", [{"drop": ["text"]}, {"label": "text"}])
def test_a_long_text_in_every_row_is_held_once(options, tmp_path):
    texts = pa.DictionaryArray.from_arrays(np.zeros(2000, np.int32), pa.array(["x" * 500_000]))
    parquet.write_table(pa.table({"a": np.arange(2000.0), "text": texts}), tmp_path / "x.parquet")
    before = pa.total_allocated_bytes()
    tracemalloc.start()
    table = Table(path=str(tmp_path / "x.parquet"), **options)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(table) == 2000
    assert pa.total_allocated_bytes() - before < 50 * MB
    assert most < 50 * MB


def test_a_download_through_a_link(tmp_path):
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "evil").write_text("evil")
    (tmp_path / "to").mkdir()
    (tmp_path / "to" / ".file.part").symlink_to(tmp_path / "mine")
    with pytest.raises(download.DownloadFailed, match="SHA-256"):
        download.fetch((tmp_path / "evil").as_uri(), tmp_path / "to" / "file", sha256="0" * 64)
    assert (tmp_path / "mine").read_text() == "mine"


def test_a_server_that_does_not_stop_sending(tmp_path, monkeypatch):
    (tmp_path / "endless").write_bytes(bytes(5000))
    monkeypatch.setattr(download, "MOST", 1000)
    with pytest.raises(download.DownloadFailed, match="is longer than"):
        download.fetch((tmp_path / "endless").as_uri(), tmp_path / "file", sha256="0" * 64)
    assert not (tmp_path / "file").exists()
