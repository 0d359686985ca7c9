"""Large files of images: Fashion-MNIST repeated, each time with other noise."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from isthmus.data.fashion_mnist import FashionMNIST

PIXELS = 784
CHUNK = 10_000  # images written at a time: 8 MB
NOISE = 8  # grey levels


def write_images(path: Path, rows: int) -> Path:
    """Write uint8 [rows, 784] as .npy, chunk by chunk; every byte is written, so that no file is sparse."""
    images = FashionMNIST(root=None).values.reshape(-1, PIXELS).numpy()
    rng = np.random.default_rng(0)
    header = {"descr": "|u1", "fortran_order": False, "shape": (rows, PIXELS)}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for start in range(0, rows, CHUNK):
            count = min(CHUNK, rows - start)
            chunk = images[np.arange(start, start + count) % len(images)]
            noise = rng.integers(0, NOISE, chunk.shape, dtype=np.uint8)
            file.write(np.maximum(chunk, noise).tobytes())
    return path
