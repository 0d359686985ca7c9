"""IDX files: read back what was written, and one line for each way a file can be broken."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from isthmus.data.formats.idx import read_idx


def idx_bytes(values: np.ndarray, kind: int = 0x08) -> bytes:
    sizes = struct.pack(f">{values.ndim}I", *values.shape)
    return bytes([0, 0, kind, values.ndim]) + sizes + values.tobytes()


WHOLE = idx_bytes(np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4))
PACKED = gzip.compress(WHOLE, mtime=0)  # a date would give the tests other names in each process


@pytest.mark.parametrize("shape", [(5,), (2, 3, 4), (2, 3, 4, 2)])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_reads_what_was_written(tmp_path: Path, shape, pack):
    values = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    path = tmp_path / "file"
    path.write_bytes(pack(idx_bytes(values)))
    read = read_idx(path)
    assert read.dtype == torch.uint8
    np.testing.assert_array_equal(read.numpy(), values)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "cannot be read: No such file"),
        (b"", "is empty"),
        (b"PK\x03\x04 not idx", "is not an IDX file of unsigned bytes: it begins with 0x504b0304"),
        (idx_bytes(np.zeros(3, np.int16), kind=0x0B), "is not an IDX file of unsigned bytes"),
        (b"\0\0", "is not an IDX file"),
        (WHOLE[:-1], "takes? 40 bytes with the header, and it has 39"),
        (WHOLE[:9], "is truncated or damaged"),
        (WHOLE + b"\0", "and it has 41"),
        (PACKED[:-12], "is truncated or damaged"),
        (PACKED[:-8] + b"\0" * 8, "is truncated or damaged: CRC"),
    ],
)
def test_a_broken_file_is_named_in_one_line(tmp_path: Path, content, says):
    path = tmp_path / "file"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=says) as caught:
        read_idx(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
