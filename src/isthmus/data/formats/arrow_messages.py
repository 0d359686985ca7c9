"""The sizes of the record batches in an Arrow IPC file, before anything is decompressed.

A batch begins with a table of FlatBuffers (https://flatbuffers.dev/internals), which is read here because
pyarrow does not give it: of each message its kind, rows and buffers
(https://github.com/apache/arrow/blob/main/format/Message.fbs). A compressed buffer begins with its size.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import pyarrow as pa

MAGIC = b"ARROW1\0\0"  # begins the file; what follows is a stream of messages
DICTIONARY, BATCH = 2, 3  # kinds of messages
ALIGNED = 8  # bytes; a compressed buffer begins with its size


class Message(NamedTuple):
    """A dictionary or a record batch.

    Attributes:
        dictionary: whether it is a dictionary.
        rows: number of rows.
        size: bytes of its buffers when they are decompressed.
    """

    dictionary: bool
    rows: int
    size: int


def messages(content: pa.Buffer) -> Iterator[Message]:
    """The dictionaries and record batches of a stream, in order.

    Raises:
        ValueError: it is damaged. pa.ArrowException: the same.
    """
    import pyarrow as pa

    reader = pa.ipc.MessageReader.open_stream(pa.BufferReader(content))
    while True:
        try:
            message = reader.read_next_message()
        except StopIteration:
            return
        try:
            yield from _parsed(memoryview(message.metadata), message.body)
        except (struct.error, IndexError) as error:
            raise ValueError("the description of a batch is damaged") from error


def _parsed(metadata: memoryview, body: pa.Buffer | None) -> Iterator[Message]:
    top = _Table(metadata, struct.unpack_from("<I", metadata, 0)[0])
    kind = top.scalar(1, "<B")
    if kind not in (DICTIONARY, BATCH):
        return
    header = top.table(2)
    batch = header.table(1) if kind == DICTIONARY else header
    compressed = bool(batch.field(3))
    rows, size = batch.scalar(0, "<q"), 0
    if rows < 0 or body is None:
        raise IndexError(rows)
    for offset, length in batch.structs(2, "<qq"):
        if offset < 0 or length < 0 or offset + length > body.size:
            raise IndexError(offset)
        unpacked = struct.unpack_from("<q", body, offset)[0] if compressed and length >= ALIGNED else -1
        if unpacked < -1:
            raise IndexError(unpacked)
        size += length if unpacked == -1 else unpacked
    yield Message(kind == DICTIONARY, rows, size)


class _Table:
    """A table of FlatBuffers: field n is found by the n-th entry of its vtable.

    Args:
        data: all bytes.
        at: where the table begins.
    """

    def __init__(self, data: memoryview, at: int) -> None:
        self.data, self.at = data, at
        self.vtable = at - struct.unpack_from("<i", data, at)[0]
        self.length = struct.unpack_from("<H", data, self.vtable)[0]

    def field(self, number: int) -> int:
        """Where a field is; 0 if it is absent."""
        entry = 4 + 2 * number
        if entry + 2 > self.length:
            return 0
        offset: int = struct.unpack_from("<H", self.data, self.vtable + entry)[0]
        return self.at + offset if offset else 0

    def scalar(self, number: int, form: str) -> int:
        """A number; 0 if it is absent."""
        at = self.field(number)
        return int(struct.unpack_from(form, self.data, at)[0]) if at else 0

    def table(self, number: int) -> _Table:
        """A table in this one."""
        at = self.field(number)
        if not at:
            raise IndexError(number)
        return _Table(self.data, at + struct.unpack_from("<I", self.data, at)[0])

    def structs(self, number: int, form: str) -> Iterator[tuple[int, ...]]:
        """A vector of structures."""
        at = self.field(number)
        if not at:
            return
        at += struct.unpack_from("<I", self.data, at)[0]
        count = struct.unpack_from("<I", self.data, at)[0]
        size = struct.calcsize(form)
        if at + 4 + count * size > len(self.data):
            raise IndexError(count)
        for place in range(count):
            yield struct.unpack_from(form, self.data, at + 4 + place * size)
