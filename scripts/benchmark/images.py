"""Large files of images: Fashion-MNIST repeated, each time with other noise."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from isthmus.data.fashion_mnist import FashionMNIST

PIXELS = 784
CHUNK = 10_000  # images written at a time: 8 MB
NOISE = 8  # grey levels


def write_images(path: Path, rows: int) -> Path:
    """Write uint8 [rows, 784] as .npy, chunk by chunk; every byte is written, so that no file is sparse."""
    return _write_npy(path, rows, "|u1", _chunks(rows))


def write_floats(path: Path, rows: int) -> Path:
    """Write the same images as float32 from 0 to 1: .npy [rows, 784], or .parquet of 784 columns.

    Parquet without dictionaries and compression, so that both have 4 bytes per value.
    """
    chunks = (chunk.astype(np.float32) / 255 for chunk in _chunks(rows))
    if path.suffix == ".npy":
        return _write_npy(path, rows, "<f4", chunks)
    import pyarrow as pa
    from pyarrow import parquet

    schema = pa.schema([(f"pixel{at}", pa.float32()) for at in range(PIXELS)])
    with parquet.ParquetWriter(path, schema, use_dictionary=False, compression="none") as writer:
        for chunk in chunks:
            columns = [np.ascontiguousarray(column) for column in chunk.T]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))
    return path


def _write_npy(path: Path, rows: int, dtype: str, chunks: Iterator[np.ndarray]) -> Path:
    header = {"descr": dtype, "fortran_order": False, "shape": (rows, PIXELS)}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for chunk in chunks:
            file.write(chunk.tobytes())
    return path


def _chunks(rows: int) -> Iterator[np.ndarray]:
    """The images as uint8 [CHUNK, 784]."""
    images = FashionMNIST(root=None).values.reshape(-1, PIXELS).numpy()
    rng = np.random.default_rng(0)
    for start in range(0, rows, CHUNK):
        count = min(CHUNK, rows - start)
        chunk = images[np.arange(start, start + count) % len(images)]
        yield np.maximum(chunk, rng.integers(0, NOISE, chunk.shape, dtype=np.uint8))
