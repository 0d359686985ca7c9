"""Small valid files of every format that is read, to be mutated; and what packs mutated content."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from typing import Any

import numpy as np

RNG = np.random.default_rng(0)


def csv() -> list[bytes]:
    rows = "".join(f"{number},{number / 7:.3f},{'xy'[number % 2]}\n" for number in range(40))
    return [
        f"a,b,y\n{rows}".encode(),
        b'a,"b c",y\r\n1,2,"x"\r\n3,4,"q\n"\r\n',
        b"\xef\xbb\xbfa,y\n1,0\n2,1\n",
    ]


def messy() -> list[bytes]:
    """CSV files of other countries and programs, with missing cells, text and dates."""
    rows = "".join(
        f"{number},{number * 7},5;1.{100 + number},25;{'xy'[number % 2]};2024-01-{1 + number % 28:02};;NA\n"
        for number in range(40)
    )
    return [
        f"a;b;c;d;e;y\n{rows}".encode(),
        "x\ty\n1 234,5\tä\n2 345,5\tö\n".encode("latin-1"),
        "x,y\n1,a\n2,b\n".encode("utf-16"),
        b"# a title\n\n  x   y\n 1.5   2\n 2.5   3\n",
        b"y\n" + b'"1","$2.50","3%"\n"2","$3.50","4%"\n',
        b"1,2,3\n4,5,6\n7,8,9\n",
    ]


def feather() -> list[bytes]:
    import pyarrow as pa
    from pyarrow import feather as ipc

    table = pa.table(
        {
            "a": RNG.normal(size=50),
            "b": pa.array([None, 1, 2, 3, 4] * 10),
            "c": pa.array(["x", "y"] * 25).dictionary_encode(),
            "y": ["pear", None] * 25,
        }
    )
    files = []
    for compression in ("uncompressed", "lz4", "zstd"):
        file = io.BytesIO()
        ipc.write_feather(table, file, compression=compression, chunksize=20)
        files.append(file.getvalue())
    return files


def xlsx() -> list[bytes]:
    """The sheets of an Excel file."""
    file = io.BytesIO()
    _workbook().save(file)
    with zipfile.ZipFile(file) as book:
        return [book.read("xl/worksheets/sheet1.xml")]


def _workbook() -> Any:
    import openpyxl

    book = openpyxl.Workbook()
    sheet = book.active
    sheet.append(["a", "b", "y"])
    for number in range(10):
        sheet.append([number / 7, number, "xy"[number % 2]])
    return book


def workbook(content: bytes) -> bytes:
    """An Excel file with the content as its sheet."""
    made, file = io.BytesIO(), io.BytesIO()
    _workbook().save(made)
    with zipfile.ZipFile(made) as book, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as changed:
        for name in book.namelist():
            changed.writestr(name, content if name.endswith("sheet1.xml") else book.read(name))
    return file.getvalue()


def parquet() -> list[bytes]:
    import pyarrow as pa

    rows = 200
    table = pa.table(
        {
            "a": RNG.normal(size=rows),
            "b": RNG.integers(0, 9, rows).astype(np.int32),
            "c": pa.array(RNG.integers(0, 2, rows).astype(bool)),
            "d": pa.array(list(range(rows)), pa.decimal128(9, 2)),
            "y": RNG.choice(["pear", "apple"], rows),
        }
    )
    plain = {"use_dictionary": False}
    delta = {"a": "BYTE_STREAM_SPLIT", "b": "DELTA_BINARY_PACKED", "y": "DELTA_BYTE_ARRAY"}
    lengths = {"y": "DELTA_LENGTH_BYTE_ARRAY", "c": "RLE"}
    return [
        _parquet(table, compression="none"),
        _parquet(table, compression="snappy", row_group_size=50),
        _parquet(table, compression="zstd", data_page_version="2.0", write_page_index=True),
        _parquet(table, compression="gzip", column_encoding=delta, **plain),
        _parquet(table, compression="none", column_encoding=delta, **plain),
        _parquet(table, compression="none", column_encoding=lengths, **plain),
        _parquet(table, compression="brotli", write_page_checksum=True),
        _parquet(table, compression="lz4", store_schema=False, store_decimal_as_integer=True),
        _parquet(table.append_column("l", pa.array([[1.0, 2.0]] * rows)), compression="none"),
        _parquet(pa.table({"y": ["a", "b"], "x": [1.0, 2.0]}), compression="none"),
    ]


def _parquet(table: object, **options: object) -> bytes:
    from pyarrow import parquet as pq

    file = io.BytesIO()
    pq.write_table(table, file, **options)
    return file.getvalue()


def npy() -> list[bytes]:
    arrays = [
        RNG.normal(size=(20, 6)),
        RNG.integers(0, 255, (9, 5, 4, 3), dtype=np.uint8),
        np.asfortranarray(RNG.integers(0, 9, (12, 3)).astype(">i2")),
        RNG.integers(0, 2, (8, 4)).astype(bool),
    ]
    return [as_npy(array) for array in arrays]


def as_npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def npz() -> list[bytes]:
    files = []
    for save in (np.savez, np.savez_compressed):
        for order in (np.ascontiguousarray, np.asfortranarray):
            file = io.BytesIO()
            save(file, x=order(RNG.normal(size=(20, 6))), y=RNG.choice(["pear", "apple"], 20))
            files.append(file.getvalue())
    return files


def zipped(content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", content)
        archive.writestr("y.npy", as_npy(np.arange(20)))
    return file.getvalue()


def labels(content: bytes) -> bytes:
    """The content as the labels of an archive."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", as_npy(np.zeros((20, 2))))
        archive.writestr("y.npy", content)
    return file.getvalue()


def _image(mode: str, kind: str, **options: object) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.effect_noise((23, 17), 90).convert(mode).save(file, kind, **options)
    return file.getvalue()


def png() -> list[bytes]:
    from PIL.PngImagePlugin import PngInfo

    text = PngInfo()
    text.add_text("a", "b" * 100, zip=True)
    text.add_itxt("c", "d" * 100, zip=True)
    modes = [_image(mode, "PNG") for mode in ("L", "RGB", "RGBA", "P", "1", "LA", "I;16")]
    return [
        *modes,
        _image("P", "PNG", transparency=3),
        _image("RGB", "PNG", pnginfo=text, icc_profile=b"x" * 200),
    ]


def jpeg() -> list[bytes]:
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = 6  # orientation
    modes = [_image(mode, "JPEG") for mode in ("L", "RGB", "CMYK")]
    return [*modes, _image("RGB", "JPEG", progressive=True, exif=exif, icc_profile=b"x" * 200)]


def tiff() -> list[bytes]:
    modes = [_image(mode, "TIFF") for mode in ("L", "RGB", "RGBA", "P", "1", "CMYK", "I;16", "F")]
    packed = ("tiff_lzw", "tiff_deflate", "packbits", "jpeg", "group4")
    return [
        *modes,
        *(_image("1" if kind == "group4" else "RGB", "TIFF", compression=kind) for kind in packed),
    ]


def bmp() -> list[bytes]:
    return [_image(mode, "BMP") for mode in ("L", "RGB", "RGBA", "P", "1")]


def webp() -> list[bytes]:
    return [_image(mode, "WEBP", lossless=lossless) for mode in ("RGB", "RGBA") for lossless in (True, False)]


def checksums(content: bytes) -> bytes:
    """A PNG file whose chunks have the checksums of what is in them."""
    at, parts = 8, [content[:8]]
    while at + 12 <= len(content):
        length = int.from_bytes(content[at : at + 4], "big")
        inner = content[at + 4 : at + 8 + length]
        parts += [content[at : at + 4], inner, struct.pack(">I", zlib.crc32(inner))]
        at += 12 + length
    return b"".join([*parts, content[at:]])


def idx() -> list[bytes]:
    return [
        bytes([0, 0, 8, 3])
        + struct.pack(">3I", 6, 5, 4)
        + RNG.integers(0, 255, 120, dtype=np.uint8).tobytes(),
        bytes([0, 0, 8, 1]) + struct.pack(">I", 30) + bytes(30),
    ]
